-- After `keepstep init`, which makes keepstep_joint.
CREATE TRIGGER order_is_refused AFTER UPDATE OF state ON keepstep_joint
  FOR EACH ROW WHEN (NEW.state = 'aborted' AND NEW.proposer = 'shop') EXECUTE FUNCTION order_is_refused();
