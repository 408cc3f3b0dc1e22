-- What an attempt was started with becomes the connection's only with its success.
ALTER TABLE attempts ADD COLUMN parameters json;
UPDATE attempts SET parameters = connections.parameters FROM connections
WHERE (connections.company_id, connections.id) = (attempts.company_id, attempts.connection_id);
ALTER TABLE attempts ALTER COLUMN parameters SET NOT NULL;

ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('remove', 'identify', 'import', 'recheck'));
-- One look is enough: the earliest stays.
DELETE FROM jobs USING jobs AS other
WHERE (jobs.company_id, jobs.connection_id, jobs.kind, other.kind)
        = (other.company_id, other.connection_id, 'recheck', 'recheck')
    AND (jobs.due_at, jobs.id) > (other.due_at, other.id);
CREATE UNIQUE INDEX jobs_one_recheck ON jobs (company_id, connection_id) WHERE kind = 'recheck';

CREATE INDEX connections_authorized ON connections (id) WHERE nango_id IS NOT NULL AND deleted_at IS NULL;
-- Which connections are due for a look is read company by company.
CREATE INDEX connections_stale ON connections (company_id, last_synced_at)
    WHERE status = 'active' AND deleted_at IS NULL;

-- Tasks that all processes share, such as a sweep through Nango's list.
CREATE TABLE turns (
    name text PRIMARY KEY,
    next_at timestamptz(3) NOT NULL
);
