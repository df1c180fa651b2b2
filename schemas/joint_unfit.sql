-- Why a PostgreSQL database takes no part in joint transactions; no row where it can. What other services
-- write into it must be text in any language, as it was written.
-- name: joint_unfit
SELECT 'joint transactions need a database of encoding UTF8, and this one has ' || getdatabaseencoding()
  || ': nothing is promised in it, and what was promised is settled'
WHERE getdatabaseencoding() <> 'UTF8'
