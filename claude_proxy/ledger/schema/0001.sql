-- What is asked for by lists and sums has a column; the rest of a record lies packed in `more`.
CREATE TABLE exchange (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    accepted REAL NOT NULL,
    endpoint TEXT NOT NULL,
    asked_model TEXT NOT NULL,
    model TEXT NOT NULL,
    upstream TEXT NOT NULL,
    session TEXT,
    conversation TEXT,
    agent TEXT,
    project TEXT,
    organization TEXT,
    status INTEGER,
    "end" TEXT,
    total_ms INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_creation_input_tokens INTEGER,
    cache_read_input_tokens INTEGER,
    cache_creation_5m_input_tokens INTEGER,
    cache_creation_1h_input_tokens INTEGER,
    thinking_tokens INTEGER,
    web_search_requests INTEGER,
    web_fetch_requests INTEGER,
    code_execution_requests INTEGER,
    list_value INTEGER,
    billed INTEGER,
    covered INTEGER,
    unpriced_tokens INTEGER NOT NULL,
    kept TEXT NOT NULL,
    altered INTEGER NOT NULL,
    epoch INTEGER,            -- when its bodies were kept, see `block`; NULL where there are none
    more BLOB NOT NULL
);
CREATE INDEX exchange_accepted ON exchange (accepted, number);
CREATE INDEX exchange_conversation ON exchange (conversation, accepted, number);
CREATE INDEX exchange_asked_model ON exchange (asked_model, accepted, number);
CREATE INDEX exchange_model ON exchange (model, accepted, number);
CREATE INDEX exchange_project ON exchange (project, accepted, number);
CREATE INDEX exchange_upstream ON exchange (upstream, accepted, number);
CREATE INDEX exchange_not_complete ON exchange (accepted, number) WHERE "end" <> 'complete';
CREATE INDEX exchange_epoch ON exchange (epoch, number) WHERE epoch IS NOT NULL;
CREATE INDEX exchange_unfinished ON exchange (accepted) WHERE "end" IS NULL;

-- Each a line of headers and what came with them: of the request a recipe, which is blocks and what lies between them.
CREATE TABLE body (
    exchange INTEGER PRIMARY KEY,
    request BLOB,
    answer BLOB
);

-- A block is kept as long as an exchange of its epoch or an earlier one has bodies: it is of the latest in which
-- some exchange was made of it. Numbers are never given again.
CREATE TABLE block (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,
    altered INTEGER NOT NULL
);
CREATE INDEX block_epoch ON block (epoch);
CREATE TABLE content (
    block INTEGER PRIMARY KEY,
    packed BLOB NOT NULL
);

CREATE TABLE conversation (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session TEXT,
    began REAL NOT NULL,
    last REAL NOT NULL,
    requests INTEGER NOT NULL,
    first_message TEXT,
    project TEXT,
    model TEXT NOT NULL
);
CREATE INDEX conversation_last ON conversation (last, number);

-- Sums over exchanges that have ended, in quarters of an hour; they outlive the exchanges. '' is no value.
CREATE TABLE usage (
    bucket INTEGER NOT NULL,
    asked_model TEXT NOT NULL,
    model TEXT NOT NULL,
    upstream TEXT NOT NULL,
    session TEXT NOT NULL,
    conversation TEXT NOT NULL,
    project TEXT NOT NULL,
    organization TEXT NOT NULL,
    agent INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    requests INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    total_ms INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_creation_input_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_5m_input_tokens INTEGER NOT NULL,
    cache_creation_1h_input_tokens INTEGER NOT NULL,
    thinking_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    web_fetch_requests INTEGER NOT NULL,
    code_execution_requests INTEGER NOT NULL,
    list_value INTEGER NOT NULL,
    billed INTEGER NOT NULL,
    covered INTEGER NOT NULL,
    unpriced_tokens INTEGER NOT NULL,
    unpriced_requests INTEGER NOT NULL,
    PRIMARY KEY (bucket, asked_model, model, upstream, session, conversation, project, organization, agent, endpoint)
) WITHOUT ROWID;
