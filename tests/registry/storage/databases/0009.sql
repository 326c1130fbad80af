-- A database as Collegium left it at revision 0009 (commit 97bd091), with rows in every table. Written
-- through the registry's classes of that commit, then dumped by Python's `sqlite3.Connection.iterdump`.
-- tests/registry/storage/test_upgrading.py opens it with the present code. Never regenerate it.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0009');
CREATE TABLE batches (
	id TEXT NOT NULL,
	endpoint TEXT NOT NULL,
	input_file_id TEXT NOT NULL,
	completion_window TEXT NOT NULL,
	status TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	expires_at DATETIME NOT NULL,
	in_progress_at DATETIME,
	finalizing_at DATETIME,
	completed_at DATETIME,
	failed_at DATETIME,
	expired_at DATETIME,
	cancelling_at DATETIME,
	cancelled_at DATETIME,
	output_file_id TEXT,
	error_file_id TEXT,
	errors JSON NOT NULL,
	total INTEGER NOT NULL,
	completed INTEGER NOT NULL,
	failed INTEGER NOT NULL,
	notes JSON NOT NULL,
	routing JSON NOT NULL,
	CONSTRAINT pk_batches PRIMARY KEY (id),
	CONSTRAINT ck_batches_ck_batches_status CHECK (status IN ('validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled'))
);
INSERT INTO "batches" VALUES('batch_1','/v1/chat/completions','file-1','24h','completed','2026-03-01 12:08:00.000000','2026-03-02 12:08:00.000000','2026-03-01 12:09:00.000000','2026-03-01 12:10:00.000000','2026-03-01 12:11:00.000000',NULL,NULL,NULL,NULL,'file-2',NULL,'[{"code":"bad_line","line":3}]',3,2,1,'{"job":"nightly"}','{"tradeoff":1.0}');
INSERT INTO "batches" VALUES('batch_2','/v1/chat/completions','file-1','1h','validating','2026-03-01 12:12:00.000000','2026-03-01 13:12:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]',0,0,0,'{}','{}');
CREATE TABLE decisions (
	id TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	requested_model TEXT NOT NULL,
	expert TEXT NOT NULL,
	policy TEXT NOT NULL,
	confidence DOUBLE NOT NULL,
	reason TEXT NOT NULL,
	prompt TEXT,
	session TEXT,
	forecasts JSON NOT NULL,
	limits JSON NOT NULL, propensity DOUBLE DEFAULT '1.0' NOT NULL,
	CONSTRAINT pk_decisions PRIMARY KEY (id)
);
INSERT INTO "decisions" VALUES('dec_1','2026-03-01 12:00:00.000000','auto','sql','quality',0.93,'asks for SQL','Count the users','s1','[{"expert":"sql","quality":0.93}]','{"max_cost_usd":0.01}',0.5);
INSERT INTO "decisions" VALUES('dec_2','2026-03-01 12:01:00.000000','gpt','gpt','named',1.0,'named by the caller',NULL,NULL,'[]','{}',1.0);
CREATE TABLE engine_descriptions (
	name TEXT NOT NULL,
	model_path TEXT NOT NULL,
	dtype TEXT,
	context INTEGER NOT NULL,
	max_sequences INTEGER NOT NULL,
	cache_gib DOUBLE NOT NULL,
	device TEXT NOT NULL,
	lora_slots INTEGER NOT NULL,
	flags TEXT NOT NULL, sleep_level INTEGER DEFAULT '0' NOT NULL, token_policy TEXT,
	CONSTRAINT pk_engine_descriptions PRIMARY KEY (name)
);
INSERT INTO "engine_descriptions" VALUES('poet','/models/poet',NULL,2048,32,1.0,'',0,'',0,NULL);
INSERT INTO "engine_descriptions" VALUES('olmoe','/models/olmoe','bfloat16',4096,16,2.5,'0,1',4,'--seed=1 --quantization=awq',1,'{"top_p": 0.7, "statistics": true}');
CREATE TABLE experts (
	name TEXT NOT NULL,
	kind TEXT NOT NULL,
	model TEXT NOT NULL,
	engine TEXT,
	base_url TEXT,
	adapter TEXT,
	api_key_env TEXT,
	description TEXT NOT NULL,
	skills JSON NOT NULL,
	input_price DOUBLE NOT NULL,
	output_price DOUBLE NOT NULL,
	context_window INTEGER NOT NULL,
	generalist BOOLEAN NOT NULL,
	enabled BOOLEAN NOT NULL,
	version INTEGER NOT NULL,
	CONSTRAINT pk_experts PRIMARY KEY (name)
);
INSERT INTO "experts" VALUES('smollm2','engine','smollm2','embedded',NULL,NULL,NULL,'Generalist','{}',0.0,0.0,2048,1,1,1);
INSERT INTO "experts" VALUES('sql','lora','sql','embedded',NULL,'builtin:sql',NULL,'Schreibt SQL, schön','{"sql":0.97,"general":0.02}',0.0,0.0,4096,0,1,1);
INSERT INTO "experts" VALUES('gpt','litellm','openai/gpt-4o-mini',NULL,'https://api.example.org/v1',NULL,'OPENAI_API_KEY','','{}',0.15,0.6,128000,0,0,2);
INSERT INTO "experts" VALUES('poet','engine','poet','poet',NULL,NULL,NULL,'','{}',0.0,0.0,2048,0,1,1);
CREATE TABLE feedback (
	id TEXT NOT NULL,
	decision_id TEXT NOT NULL,
	verdict TEXT NOT NULL,
	comment TEXT,
	created_at DATETIME NOT NULL, preferred TEXT,
	CONSTRAINT pk_feedback PRIMARY KEY (id),
	CONSTRAINT fk_feedback_decision_id FOREIGN KEY(decision_id) REFERENCES decisions (id) ON DELETE CASCADE,
	CONSTRAINT ck_feedback_ck_feedback_verdict CHECK (verdict IN ('good_fit', 'underpowered', 'overprovisioned', 'failed'))
);
INSERT INTO "feedback" VALUES('fb_1','dec_1','good_fit','thanks','2026-03-01 12:04:00.000000','sql');
INSERT INTO "feedback" VALUES('fb_2','dec_1','failed',NULL,'2026-03-01 12:05:00.000000',NULL);
CREATE TABLE files (
	id TEXT NOT NULL,
	filename TEXT NOT NULL,
	purpose TEXT NOT NULL,
	bytes BIGINT NOT NULL,
	created_at DATETIME NOT NULL,
	expires_at DATETIME,
	CONSTRAINT pk_files PRIMARY KEY (id)
);
INSERT INTO "files" VALUES('file-1','in.jsonl','batch',5000000000,'2026-03-01 12:06:00.000000',NULL);
INSERT INTO "files" VALUES('file-2','out.jsonl','batch_output',1234,'2026-03-01 12:07:00.000000','2999-01-01 00:00:00.000000');
CREATE TABLE outcomes (
	decision_id TEXT NOT NULL,
	status TEXT NOT NULL,
	error TEXT,
	prompt_tokens INTEGER,
	completion_tokens INTEGER,
	cost_usd DOUBLE,
	latency_ms DOUBLE,
	ttft_ms DOUBLE,
	energy_j DOUBLE,
	finished_at DATETIME NOT NULL, expert TEXT, tried JSON, waited_ms DOUBLE, calls JSON,
	CONSTRAINT pk_outcomes PRIMARY KEY (decision_id),
	CONSTRAINT fk_outcomes_decision_id FOREIGN KEY(decision_id) REFERENCES decisions (id) ON DELETE CASCADE,
	CONSTRAINT ck_outcomes_ck_outcomes_status CHECK (status IN ('ok', 'error', 'cancelled'))
);
INSERT INTO "outcomes" VALUES('dec_1','ok',NULL,12,34,0.001,850.5,120.25,38.3,'2026-03-01 12:02:00.000000','smollm2','[{"expert":"sql","error":"timeout"}]',10.0,'[{"expert":"smollm2","status":"ok"}]');
INSERT INTO "outcomes" VALUES('dec_2','error','its provider is away',NULL,NULL,NULL,NULL,NULL,NULL,'2026-03-01 12:03:00.000000',NULL,'null',NULL,'null');
CREATE TABLE registry_revision (
	id INTEGER NOT NULL,
	number INTEGER NOT NULL,
	CONSTRAINT pk_registry_revision PRIMARY KEY (id)
);
INSERT INTO "registry_revision" VALUES(1,5);
CREATE TABLE seeds (
	source TEXT NOT NULL,
	seeded_at DATETIME NOT NULL,
	CONSTRAINT pk_seeds PRIMARY KEY (source)
);
INSERT INTO "seeds" VALUES('embedded','2026-03-01 12:00:00.000000');
CREATE INDEX ix_decisions_created_at ON decisions (created_at);
CREATE INDEX ix_feedback_decision_id ON feedback (decision_id);
CREATE INDEX ix_files_created_at ON files (created_at);
CREATE INDEX ix_batches_created_at ON batches (created_at);
CREATE INDEX ix_batches_status ON batches (status);
COMMIT;
