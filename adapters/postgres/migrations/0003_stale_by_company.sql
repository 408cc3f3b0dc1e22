-- Which connections are due for a look is read company by company. While it is made, writes wait: about a second
-- for a million connections.
CREATE INDEX connections_stale_of_company ON connections (company_id, last_synced_at)
    WHERE status = 'active' AND deleted_at IS NULL;
