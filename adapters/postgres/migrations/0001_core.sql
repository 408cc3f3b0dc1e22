-- Everything is keyed by company first: a statement that forgets the company finds no index and no key.
-- Times are UTC with milliseconds (the API prints no more), and come from the database's clock.

CREATE FUNCTION clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    RETURN date_trunc('milliseconds', clock_timestamp());

-- The random id that tags everything we make at Nango, so that a copy of this database is told from it.
CREATE TABLE deployment (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id text NOT NULL DEFAULT gen_random_uuid()::text
);
INSERT INTO deployment DEFAULT VALUES;

-- domain.connection.TRANSITIONS as rows: the second guard of the state machine.
CREATE TABLE transitions (
    status_before text NOT NULL,
    trigger text NOT NULL,
    status text NOT NULL,
    PRIMARY KEY (status_before, trigger, status)
);
INSERT INTO transitions (status_before, trigger, status) VALUES
    ('pending', 'authorized', 'active'),
    ('pending', 'authorization_failed', 'error'),
    ('pending', 'authorization_failed', 'expired'),
    ('pending', 'authorization_failed', 'disconnected'),
    ('pending', 'authorization_abandoned', 'error'),
    ('pending', 'authorization_abandoned', 'expired'),
    ('pending', 'authorization_abandoned', 'disconnected'),
    ('pending', 'authorization_restarted', 'pending'),
    ('pending', 'disconnected', 'disconnected'),
    ('active', 'authorized', 'active'),
    ('active', 'refreshed', 'active'),
    ('active', 'found_healthy', 'active'),
    ('active', 'refresh_failed', 'error'),
    ('active', 'found_unhealthy', 'error'),
    ('active', 'expired', 'expired'),
    ('active', 'disconnected', 'disconnected'),
    ('error', 'authorized', 'active'),
    ('error', 'refreshed', 'active'),
    ('error', 'found_healthy', 'active'),
    ('error', 'refresh_failed', 'error'),
    ('error', 'found_unhealthy', 'error'),
    ('error', 'expired', 'expired'),
    ('error', 'authorization_restarted', 'pending'),
    ('error', 'disconnected', 'disconnected'),
    ('expired', 'authorized', 'active'),
    ('expired', 'refreshed', 'active'),
    ('expired', 'found_healthy', 'active'),
    ('expired', 'refresh_failed', 'expired'),
    ('expired', 'found_unhealthy', 'expired'),
    ('expired', 'authorization_restarted', 'pending'),
    ('expired', 'disconnected', 'disconnected'),
    ('disconnected', 'authorization_restarted', 'pending');

-- metadata, parameters and changes are json, not jsonb: jsonb rewrites numbers (1e9999 becomes 10 kB).
CREATE TABLE connections (
    company_id text NOT NULL CHECK (company_id <> ''),
    id text NOT NULL CHECK (id <> ''),
    provider text NOT NULL CHECK (provider <> ''),
    name text NOT NULL CHECK (name <> ''),
    status text NOT NULL CHECK (status IN ('pending', 'active', 'error', 'expired', 'disconnected')),
    auth_kind text NOT NULL CHECK (auth_kind IN ('oauth', 'api_key')),
    origin text NOT NULL CHECK (origin IN ('auth_url', 'create')),
    integration text NOT NULL CHECK (integration <> ''),
    nango_id text CHECK (nango_id <> ''),
    external_account_id text,
    external_account_name text,
    metadata json NOT NULL,
    parameters json NOT NULL,
    error_message text,
    status_before_pending text CHECK (status_before_pending IN ('error', 'expired', 'disconnected')),
    error_before_pending text,
    authorized_at timestamptz(3),
    last_synced_at timestamptz(3),
    deleted_at timestamptz(3),
    version integer NOT NULL CHECK (version >= 1),
    created_at timestamptz(3) NOT NULL,
    updated_at timestamptz(3) NOT NULL,
    PRIMARY KEY (company_id, id),
    CONSTRAINT connections_id_is_unique UNIQUE (id),
    CONSTRAINT connections_trouble_has_a_message
        CHECK ((status IN ('error', 'expired', 'disconnected')) = (error_message IS NOT NULL)),
    CONSTRAINT connections_active_has_a_grant CHECK (status <> 'active' OR nango_id IS NOT NULL),
    CONSTRAINT connections_disconnected_has_no_grant CHECK (status <> 'disconnected' OR nango_id IS NULL),
    CONSTRAINT connections_only_pending_remembers CHECK (
        status = 'pending' OR (status_before_pending IS NULL AND error_before_pending IS NULL))
) WITH (fillfactor = 85);

CREATE UNIQUE INDEX connections_one_pending_from_auth_url ON connections (company_id, provider)
    WHERE status = 'pending' AND origin = 'auth_url' AND deleted_at IS NULL;
CREATE UNIQUE INDEX connections_grant_is_unique ON connections (integration, nango_id)
    WHERE nango_id IS NOT NULL AND deleted_at IS NULL;
-- One index for each way to filter a list, so that its cost does not grow with the table.
CREATE INDEX connections_list ON connections (company_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX connections_list_provider ON connections (company_id, provider, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX connections_list_status ON connections (company_id, status, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX connections_list_both ON connections (company_id, provider, status, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX connections_list_account ON connections (company_id, external_account_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL AND external_account_id IS NOT NULL;

-- One event for each version. seq and txid order the company's feed: see adapters/postgres/feed.py.
CREATE TABLE events (
    company_id text NOT NULL,
    connection_id text NOT NULL,
    version integer NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    type text NOT NULL CHECK (type IN (
        'authorized', 'authorization_restarted', 'authorization_failed', 'authorization_abandoned',
        'refreshed', 'found_healthy', 'refresh_failed', 'found_unhealthy', 'expired', 'disconnected',
        'created', 'account_identified', 'account_changed', 'updated', 'deleted')),
    trigger text GENERATED ALWAYS AS (
        CASE WHEN type NOT IN ('created', 'account_identified', 'account_changed', 'updated', 'deleted')
            THEN type END) STORED,
    at timestamptz(3) NOT NULL,
    actor text NOT NULL CHECK (actor <> ''),
    status_before text,
    status text NOT NULL,
    reason text,
    changes json NOT NULL,
    PRIMARY KEY (company_id, connection_id, version),
    CONSTRAINT events_connection FOREIGN KEY (company_id, connection_id) REFERENCES connections (company_id, id),
    CONSTRAINT events_are_legal_transitions FOREIGN KEY (status_before, trigger, status)
        REFERENCES transitions (status_before, trigger, status),
    CONSTRAINT events_begin_with_a_birth CHECK (
        (type = 'created') = (version = 1) AND (type = 'created') = (status_before IS NULL)),
    CONSTRAINT events_beside_the_machine_keep_the_status CHECK (
        trigger IS NOT NULL OR status_before IS NULL OR status_before = status)
);
CREATE INDEX events_feed ON events (company_id, txid, seq);

-- No version without its event.
ALTER TABLE connections ADD CONSTRAINT connections_version_is_explained
    FOREIGN KEY (company_id, id, version) REFERENCES events (company_id, connection_id, version)
    DEFERRABLE INITIALLY DEFERRED;

CREATE FUNCTION guard_connection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION 'a deleted connection does not change' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION 'a change makes exactly one new version' USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.company_id, NEW.id, NEW.provider, NEW.auth_kind, NEW.origin, NEW.created_at)
        IS DISTINCT FROM (OLD.company_id, OLD.id, OLD.provider, OLD.auth_kind, OLD.origin, OLD.created_at) THEN
        RAISE EXCEPTION 'what a connection was born as does not change' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status <> OLD.status AND NOT EXISTS (
        SELECT FROM transitions WHERE status_before = OLD.status AND status = NEW.status) THEN
        RAISE EXCEPTION 'no trigger leads from % to %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_connection BEFORE UPDATE ON connections
    FOR EACH ROW EXECUTE FUNCTION guard_connection();

CREATE TABLE attempts (
    company_id text NOT NULL,
    connection_id text NOT NULL,
    id text NOT NULL CHECK (id <> ''),
    provider text NOT NULL,
    integration text NOT NULL,
    nango_id text,
    mode text CHECK (mode IN ('relay', 'direct', 'session')),
    state_hash bytea NOT NULL CHECK (octet_length(state_hash) = 32),
    nango_state text,
    nango_cookie text,
    redirect_url text,
    created_at timestamptz(3) NOT NULL,
    expires_at timestamptz(3) NOT NULL,
    check_at timestamptz(3),
    checks integer NOT NULL,
    claimed_at timestamptz(3),
    closed_at timestamptz(3),
    outcome text CHECK (outcome IN ('succeeded', 'failed', 'abandoned', 'superseded')),
    error text CHECK (error ~ '^[a-z_]{1,64}$'),
    PRIMARY KEY (company_id, connection_id, id),
    CONSTRAINT attempts_id_is_unique UNIQUE (id),
    CONSTRAINT attempts_state_is_unique UNIQUE (state_hash),
    CONSTRAINT attempts_connection FOREIGN KEY (company_id, connection_id) REFERENCES connections (company_id, id),
    CONSTRAINT attempts_end_with_an_outcome CHECK ((closed_at IS NULL) = (outcome IS NULL)),
    CONSTRAINT attempts_closed_are_not_checked CHECK (closed_at IS NULL OR check_at IS NULL)
);
CREATE INDEX attempts_open ON attempts (company_id, connection_id) WHERE closed_at IS NULL;
CREATE INDEX attempts_due ON attempts (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX attempts_closed ON attempts (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE jobs (
    company_id text NOT NULL,
    connection_id text NOT NULL,
    id text NOT NULL CHECK (id <> ''),
    kind text NOT NULL CHECK (kind IN ('remove', 'identify', 'recheck')),
    due_at timestamptz(3) NOT NULL,
    tries integer NOT NULL CHECK (tries >= 0),
    integration text,
    nango_id text,
    PRIMARY KEY (company_id, connection_id, id),
    CONSTRAINT jobs_id_is_unique UNIQUE (id),
    CONSTRAINT jobs_connection FOREIGN KEY (company_id, connection_id) REFERENCES connections (company_id, id)
);
CREATE INDEX jobs_due ON jobs (due_at);

-- The connection may be written after its record, in the same transaction.
CREATE TABLE idempotency_records (
    company_id text NOT NULL,
    key_hash bytea NOT NULL,
    fingerprint bytea NOT NULL,
    connection_id text NOT NULL,
    salt bytea NOT NULL,
    authorization_url text,
    created_at timestamptz(3) NOT NULL DEFAULT clock(),
    PRIMARY KEY (company_id, key_hash),
    CONSTRAINT idempotency_records_connection FOREIGN KEY (company_id, connection_id)
        REFERENCES connections (company_id, id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX idempotency_records_age ON idempotency_records (created_at);

CREATE TABLE flights (
    company_id text NOT NULL,
    connection_id text NOT NULL,
    id text NOT NULL DEFAULT gen_random_uuid()::text,
    kind text NOT NULL CHECK (kind IN ('refresh', 'verify')),
    lease_until timestamptz(3) NOT NULL,
    landed_at timestamptz(3),
    outcome text,
    PRIMARY KEY (company_id, connection_id, id),
    CONSTRAINT flights_id_is_unique UNIQUE (id),
    CONSTRAINT flights_connection FOREIGN KEY (company_id, connection_id) REFERENCES connections (company_id, id),
    CONSTRAINT flights_land_with_an_outcome CHECK ((landed_at IS NULL) = (outcome IS NULL))
);
CREATE UNIQUE INDEX flights_one_in_the_air ON flights (company_id, connection_id, kind) WHERE landed_at IS NULL;
CREATE INDEX flights_age ON flights (lease_until);

CREATE TABLE api_keys (
    company_id text NOT NULL CHECK (company_id <> ''),
    id text NOT NULL DEFAULT gen_random_uuid()::text,
    scope text NOT NULL CHECK (scope IN ('read', 'write')),
    prefix text NOT NULL CHECK (prefix <> ''),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    label text,
    created_at timestamptz(3) NOT NULL DEFAULT clock(),
    revoked_at timestamptz(3),
    PRIMARY KEY (company_id, id),
    CONSTRAINT api_keys_id_is_unique UNIQUE (id),
    CONSTRAINT api_keys_digest_is_unique UNIQUE (digest)
);
CREATE INDEX api_keys_prefix ON api_keys (prefix);
