// SPDX-License-Identifier: MPL-2.0

package registry

// migrations are applied in order, each in a transaction of its own that also
// sets user_version to its number. An entry that has been released MUST never
// change: add another one.
var migrations = [...]string{
	// 1: accounts, tokens, Workers, versions, deployments.
	`CREATE TABLE accounts (
		id         TEXT PRIMARY KEY,
		name       TEXT NOT NULL,
		subdomain  TEXT UNIQUE,
		created_on INTEGER NOT NULL
	) STRICT;

	CREATE TABLE tokens (
		id           TEXT PRIMARY KEY,
		account_id   TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
		name         TEXT NOT NULL,
		hash         BLOB NOT NULL UNIQUE,  -- SHA-256 of the token
		permissions  TEXT NOT NULL,         -- JSON array of permission group names
		created_on   INTEGER NOT NULL,
		last_used_on INTEGER,
		UNIQUE (account_id, name)
	) STRICT;

	CREATE TABLE workers (
		id               TEXT PRIMARY KEY,
		account_id       TEXT NOT NULL REFERENCES accounts(id),
		name             TEXT NOT NULL,
		created_on       INTEGER NOT NULL,
		updated_on       INTEGER NOT NULL,
		deployed_on      INTEGER,
		enabled          INTEGER NOT NULL,
		previews_enabled INTEGER NOT NULL,
		logpush          INTEGER NOT NULL,
		tags             TEXT NOT NULL,     -- JSON array
		observability    TEXT,
		tail_consumers   TEXT,
		last_number      INTEGER NOT NULL,  -- of the newest version ever, also if it is deleted
		live             INTEGER,           -- deployments.seq of the live deployment
		UNIQUE (account_id, name)
	) STRICT;

	CREATE TABLE versions (
		id              TEXT PRIMARY KEY,
		worker_id       TEXT NOT NULL REFERENCES workers(id) ON DELETE CASCADE,
		number          INTEGER NOT NULL,
		created_on      INTEGER NOT NULL,
		source          TEXT NOT NULL,
		author_id       TEXT NOT NULL,
		author_email    TEXT NOT NULL,
		content         TEXT NOT NULL,      -- JSON: the content without modules and secrets
		handlers        TEXT NOT NULL,      -- JSON array
		named_handlers  TEXT,
		entrypoints     TEXT,               -- JSON array; NULL where not known
		startup_time_ms INTEGER NOT NULL,
		secrets         BLOB,               -- age ciphertext; NULL where there are none
		UNIQUE (worker_id, number)
	) STRICT;

	CREATE TABLE version_modules (
		version_id   TEXT NOT NULL REFERENCES versions(id) ON DELETE CASCADE,
		position     INTEGER NOT NULL,
		name         TEXT NOT NULL,
		content_type TEXT NOT NULL,
		sha256       TEXT NOT NULL,
		size         INTEGER NOT NULL,
		PRIMARY KEY (version_id, position)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX version_modules_sha256 ON version_modules(sha256);

	-- Which Workers a version binds to, so that references need no parsing.
	CREATE TABLE version_services (
		version_id TEXT NOT NULL REFERENCES versions(id) ON DELETE CASCADE,
		service    TEXT NOT NULL,
		PRIMARY KEY (version_id, service)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX version_services_service ON version_services(service);

	CREATE TABLE deployments (
		seq          INTEGER PRIMARY KEY AUTOINCREMENT,
		id           TEXT NOT NULL UNIQUE,
		worker_id    TEXT NOT NULL REFERENCES workers(id) ON DELETE CASCADE,
		created_on   INTEGER NOT NULL,
		source       TEXT NOT NULL,
		strategy     TEXT NOT NULL,
		author_id    TEXT NOT NULL,
		author_email TEXT NOT NULL,
		annotations  TEXT NOT NULL          -- JSON object
	) STRICT;
	CREATE INDEX deployments_worker ON deployments(worker_id, seq);

	-- version_id is no foreign key: the history outlives a deleted version.
	CREATE TABLE deployment_shares (
		seq        INTEGER NOT NULL REFERENCES deployments(seq) ON DELETE CASCADE,
		position   INTEGER NOT NULL,
		version_id TEXT NOT NULL,
		percentage REAL NOT NULL,
		PRIMARY KEY (seq, position)
	) STRICT, WITHOUT ROWID;`,

	// 2: rollouts. worker_id is no foreign key: the history outlives a deleted Worker.
	`CREATE TABLE rollouts (
		id          TEXT PRIMARY KEY,
		account_id  TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
		worker_id   TEXT NOT NULL,
		worker_name TEXT NOT NULL,          -- as it was at the newest event
		created_on  INTEGER NOT NULL,
		updated_on  INTEGER NOT NULL,
		ended_on    INTEGER,                -- NULL while it goes on
		taken_on    INTEGER,                -- when the plane took it over from its driver
		plan        TEXT NOT NULL,          -- JSON: as it was announced
		state       TEXT NOT NULL,
		base        TEXT NOT NULL,          -- id of the deployment that it began from, '' if nothing was live
		deployment  TEXT NOT NULL,          -- id of the last one that it has made, '' before
		sequence    INTEGER NOT NULL        -- of its newest event
	) STRICT;
	CREATE INDEX rollouts_worker ON rollouts(worker_id, created_on);
	CREATE INDEX rollouts_account ON rollouts(account_id, created_on);
	-- A Worker has one rollout at a time.
	CREATE UNIQUE INDEX rollouts_active ON rollouts(worker_id) WHERE ended_on IS NULL;

	CREATE TABLE rollout_events (
		rollout_id TEXT NOT NULL REFERENCES rollouts(id) ON DELETE CASCADE,
		sequence   INTEGER NOT NULL,
		at         INTEGER NOT NULL,
		event      TEXT NOT NULL,           -- JSON
		PRIMARY KEY (rollout_id, sequence)
	) STRICT, WITHOUT ROWID;

	-- What is still to be told to somebody. rollout_id is no foreign key: it is told
	-- although the rollout may be forgotten. receiver is a hash of the URL, which often is
	-- a secret by itself.
	CREATE TABLE callbacks (
		seq        INTEGER PRIMARY KEY AUTOINCREMENT,
		receiver   TEXT NOT NULL,
		rollout_id TEXT NOT NULL,
		message_id TEXT NOT NULL,
		body       TEXT NOT NULL,           -- JSON
		created_on INTEGER NOT NULL,
		attempts   INTEGER NOT NULL,
		next_on    INTEGER NOT NULL
	) STRICT;
	CREATE INDEX callbacks_order ON callbacks(receiver, rollout_id, seq);`,

	// 3: tunnels and their networks, VPC services, zones and their records.
	`CREATE TABLE tunnels (
		id             TEXT PRIMARY KEY,
		account_id     TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
		name           TEXT NOT NULL,
		config_src     TEXT NOT NULL,
		created_on     INTEGER NOT NULL,
		deleted_on     INTEGER,             -- NULL while it is there
		secret         BLOB NOT NULL,       -- age ciphertext
		secret_on      INTEGER NOT NULL,    -- when the secret was set
		config         TEXT,                -- JSON; NULL before the first one
		config_version INTEGER NOT NULL,
		config_on      INTEGER
	) STRICT;
	CREATE UNIQUE INDEX tunnels_name ON tunnels(account_id, name) WHERE deleted_on IS NULL;

	CREATE TABLE virtual_networks (
		id         TEXT PRIMARY KEY,
		account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
		name       TEXT NOT NULL,
		comment    TEXT NOT NULL,
		is_default INTEGER NOT NULL,
		created_on INTEGER NOT NULL,
		deleted_on INTEGER
	) STRICT;
	CREATE UNIQUE INDEX virtual_networks_name ON virtual_networks(account_id, name) WHERE deleted_on IS NULL;
	CREATE UNIQUE INDEX virtual_networks_default ON virtual_networks(account_id) WHERE is_default AND deleted_on IS NULL;

	CREATE TABLE tunnel_routes (
		id                 TEXT PRIMARY KEY,
		account_id         TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
		network            TEXT NOT NULL,
		tunnel_id          TEXT NOT NULL REFERENCES tunnels(id),
		virtual_network_id TEXT NOT NULL REFERENCES virtual_networks(id),
		comment            TEXT NOT NULL,
		created_on         INTEGER NOT NULL,
		deleted_on         INTEGER
	) STRICT;
	CREATE UNIQUE INDEX tunnel_routes_network ON tunnel_routes(virtual_network_id, network) WHERE deleted_on IS NULL;

	CREATE TABLE vpc_services (
		id         TEXT PRIMARY KEY,
		account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
		name       TEXT NOT NULL,
		type       TEXT NOT NULL,
		body       TEXT NOT NULL,           -- JSON: all else, as it was sent
		created_on INTEGER NOT NULL,
		updated_on INTEGER NOT NULL,
		UNIQUE (account_id, name)
	) STRICT;

	CREATE TABLE zones (
		id         TEXT PRIMARY KEY,
		account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
		name       TEXT NOT NULL UNIQUE,
		created_on INTEGER NOT NULL
	) STRICT;

	CREATE TABLE dns_records (
		id          TEXT PRIMARY KEY,
		zone_id     TEXT NOT NULL REFERENCES zones(id) ON DELETE CASCADE,
		type        TEXT NOT NULL,
		name        TEXT NOT NULL,
		content     TEXT NOT NULL,
		body        TEXT NOT NULL,          -- JSON: all else, as it was sent
		created_on  INTEGER NOT NULL,
		modified_on INTEGER NOT NULL
	) STRICT;
	CREATE INDEX dns_records_name ON dns_records(zone_id, name);`,

	// 4: tokens that end.
	`ALTER TABLE tokens ADD COLUMN expires_on INTEGER;`,

	// 5: one outbox for everything that is told, and the alerts that stand.
	`ALTER TABLE callbacks RENAME TO outbox;
	ALTER TABLE outbox RENAME COLUMN rollout_id TO topic;
	DROP INDEX callbacks_order;
	CREATE INDEX outbox_order ON outbox(receiver, topic, seq);

	CREATE TABLE alerts (
		kind      TEXT NOT NULL,
		subject   TEXT NOT NULL,
		id        TEXT NOT NULL UNIQUE,
		detail    TEXT NOT NULL,
		raised_on INTEGER NOT NULL,
		PRIMARY KEY (kind, subject)
	) STRICT, WITHOUT ROWID;`,
}
