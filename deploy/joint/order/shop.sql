-- The shop, on PostgreSQL.
CREATE TABLE orders (
  id bigint PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('asked', 'confirmed', 'refused')),
  total_cents bigint NOT NULL);

-- Whoever waits for an order learns here what became of it: in the transaction that confirms it, or
-- that says why not. The confirmation itself is one of the changes.
CREATE FUNCTION order_is_refused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE orders SET state = 'refused'
    WHERE 'order-' || id = NEW.id AND state = 'asked';
  RETURN NULL;
END $$;
