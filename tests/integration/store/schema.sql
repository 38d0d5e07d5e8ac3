column attempts.attempt integer not null
column attempts.cluster text not null
column attempts.ended_at timestamp with time zone not null default now()
column attempts.error text
column attempts.job bigint not null
column attempts.member text not null
column attempts.n bigint not null
column attempts.outcome text not null
column attempts.started_at timestamp with time zone
column attempts.term bigint not null
column breaches.cluster text not null
column breaches.job bigint not null
column breaches.since timestamp with time zone not null
column breaches.target text not null
column columns.filled boolean not null default false
column columns.name text not null
column columns.namespace text not null
column columns.passed text[]
column columns.path text[] not null
column columns.reader text not null
column columns.relation text not null
column effect_sends.basis text not null
column effect_sends.code text not null default ''::text
column effect_sends.effect uuid not null
column effect_sends.ended_at timestamp with time zone
column effect_sends.facts jsonb not null default '{}'::jsonb
column effect_sends.member text not null
column effect_sends.message text not null default ''::text
column effect_sends.n integer not null
column effect_sends.remote_id text not null default ''::text
column effect_sends.replayed boolean not null default false
column effect_sends.request_id text not null default ''::text
column effect_sends.retry_after interval
column effect_sends.sent_at timestamp with time zone not null
column effect_sends.should_retry boolean
column effect_sends.stamp uuid not null
column effect_sends.status integer
column effect_sends.term bigint not null
column effect_sends.told text
column effects.arguments jsonb not null
column effects.body bytea not null
column effects.business_key text not null
column effects.by_other boolean not null default false
column effects.cluster text not null
column effects.code text not null default ''::text
column effects.connection text not null
column effects.contradiction text not null default ''::text
column effects.created_at timestamp with time zone not null default now()
column effects.facts jsonb not null default '{}'::jsonb
column effects.first_sent_at timestamp with time zone
column effects.headers json not null
column effects.id uuid not null
column effects.idempotency_key text not null
column effects.looked_up_at timestamp with time zone
column effects.max_attempts integer not null
column effects.method text not null
column effects.note text not null default ''::text
column effects.operation text not null
column effects.path text not null
column effects.reason text not null default ''::text
column effects.remote_id text not null default ''::text
column effects.resolved_by text not null default ''::text
column effects.send_count integer not null default 0
column effects.settled_at timestamp with time zone
column effects.state text not null
column effects.version bigint not null default 0
column fires.backfill boolean not null default false
column fires.cluster text not null
column fires.decided_at timestamp with time zone not null default clock_timestamp()
column fires.fire_time timestamp with time zone not null
column fires.job bigint
column fires.outcome text not null
column fires.reason text not null default ''::text
column fires.schedule text not null
column fires.term bigint
column fires.time_zone text not null
column holds.cluster text not null
column holds.code text not null
column holds.connection text not null
column holds.message text not null
column holds.person boolean not null default true
column holds.since timestamp with time zone not null default now()
column holds.until timestamp with time zone not null
column installation.id uuid not null default gen_random_uuid()
column installation.one boolean not null default true
column job_lines.at timestamp with time zone not null
column job_lines.attempt integer not null
column job_lines.cluster text not null
column job_lines.job bigint not null
column job_lines.left_out integer not null default 0
column job_lines.line text not null
column job_lines.n bigint not null
column jobs.attempt integer not null default 0
column jobs.begun text[] not null default '{}'::text[]
column jobs.cancel_requested_at timestamp with time zone
column jobs.cancelled_by text not null default ''::text
column jobs.cluster text not null
column jobs.connection text not null
column jobs.created_at timestamp with time zone not null default now()
column jobs.effect uuid
column jobs.error text
column jobs.finished_at timestamp with time zone
column jobs.fire_time timestamp with time zone
column jobs.full_pull boolean not null default false
column jobs.id bigint not null
column jobs.key text
column jobs.max_attempts integer not null
column jobs.member text
column jobs.priority smallint not null
column jobs.progress_pages bigint not null default 0
column jobs.progress_rows bigint not null default 0
column jobs.progress_stream text not null default ''::text
column jobs.progress_stream_rows bigint not null default 0
column jobs.progress_total bigint
column jobs.rescues integer not null default 0
column jobs.schedule text
column jobs.scheduled_at timestamp with time zone not null
column jobs.since timestamp with time zone
column jobs.started_at timestamp with time zone
column jobs.started_rows bigint not null default 0
column jobs.state text not null
column jobs.streams text[] not null
column jobs.target text not null
column jobs.term bigint
column jobs.time_limit interval
column jobs.until timestamp with time zone
column markers.cluster text not null
column markers.committed_at timestamp with time zone not null
column markers.connection text not null
column markers.cursor json not null
column markers.resets bigint not null default 0
column markers.rows bigint not null
column markers.sequence bigint not null
column markers.stream text not null
column markers.term bigint not null
column met.cluster text not null
column met.connection text not null
column met.id text not null
column met.pile text not null
column notices.at timestamp with time zone not null default now()
column notices.attempt integer not null
column notices.cluster text not null
column notices.error text not null default ''::text
column notices.event text not null
column notices.id bigint not null
column notices.job bigint not null
column notices.member text not null
column notices.schedule text
column notices.since timestamp with time zone not null
column notices.target text not null
column notices.term bigint not null
column notices.told text[] not null default '{}'::text[]
column quotas.allowed bigint not null
column quotas.cluster text not null
column quotas.name text not null
column quotas.resets_at timestamp with time zone not null
column quotas.used bigint not null
column schedules.arguments jsonb not null default '{}'::jsonb
column schedules.catch_up text not null
column schedules.catch_up_window interval not null
column schedules.cluster text not null
column schedules.counts jsonb not null default '{}'::jsonb
column schedules.created_at timestamp with time zone not null default now()
column schedules.cron text not null
column schedules.decided_until timestamp with time zone not null default now()
column schedules.jitter interval not null
column schedules.name text not null
column schedules.overlap text not null
column schedules.pause_on_failure boolean not null
column schedules.paused_at timestamp with time zone
column schedules.paused_by text not null default ''::text
column schedules.paused_reason text not null default ''::text
column schedules.source text not null
column schedules.target text not null
column schedules.time_zone text not null
column schedules.version bigint not null default 1
column schema_versions.applied_at timestamp with time zone not null default now()
column schema_versions.breaking boolean not null
column schema_versions.name text not null
column schema_versions.number integer not null
column stages.body jsonb not null
column stages.cluster text not null
column stages.connection text not null
column stages.deletes text
column stages.ord bigint
column stages.ordered boolean not null default false
column stages.page bigint not null
column stages.pile text not null
column stages.upserts text[] not null
column syncs.cluster text not null
column syncs.connection text not null
column syncs.known text[] not null
column syncs.max_attempts integer not null
column syncs.name text not null
column syncs.streams text[] not null
column syncs.time_limit interval
column syncs.windowed text[] not null
column terms.cluster text not null
column terms.member text not null
column terms.number bigint not null
column terms.origin text not null
column terms.partition integer not null
column terms.raised_at timestamp with time zone not null default now()
column terms.token bigint not null
constraint leaderjobs.attempts PRIMARY KEY (cluster, job, n)
constraint leaderjobs.breaches PRIMARY KEY (cluster, target)
constraint leaderjobs.columns CHECK ((cardinality(passed) = 3))
constraint leaderjobs.columns PRIMARY KEY (namespace, relation, name)
constraint leaderjobs.effect_sends CHECK (((told IS NULL) = (ended_at IS NULL)))
constraint leaderjobs.effect_sends CHECK ((basis = ANY (ARRAY['first'::text, 'never_acted'::text, 'key'::text, 'absence'::text])))
constraint leaderjobs.effect_sends CHECK ((n > 0))
constraint leaderjobs.effect_sends CHECK ((told = ANY (ARRAY['done'::text, 'pending'::text, 'declined'::text, 'mismatch'::text, 'refused'::text, 'not_sent'::text, 'unknown'::text, 'stuck'::text])))
constraint leaderjobs.effect_sends FOREIGN KEY (effect) REFERENCES leaderjobs.effects(id)
constraint leaderjobs.effect_sends PRIMARY KEY (effect, n)
constraint leaderjobs.effect_sends UNIQUE (stamp)
constraint leaderjobs.effects CHECK (((send_count = 0) = (first_sent_at IS NULL)))
constraint leaderjobs.effects CHECK (((state <> 'planned'::text) OR (send_count = 0)))
constraint leaderjobs.effects CHECK ((max_attempts > 0))
constraint leaderjobs.effects CHECK ((state = ANY (ARRAY['planned'::text, 'sending'::text, 'succeeded'::text, 'failed'::text, 'uncertain'::text, 'cancelled'::text])))
constraint leaderjobs.effects PRIMARY KEY (id)
constraint leaderjobs.effects UNIQUE (cluster, connection, operation, business_key)
constraint leaderjobs.effects UNIQUE (idempotency_key)
constraint leaderjobs.fires CHECK ((outcome = ANY (ARRAY['enqueued'::text, 'missed'::text, 'overlapped'::text, 'queue_full'::text, 'refused'::text])))
constraint leaderjobs.fires PRIMARY KEY (cluster, schedule, fire_time)
constraint leaderjobs.holds PRIMARY KEY (cluster, connection)
constraint leaderjobs.installation CHECK (one)
constraint leaderjobs.installation PRIMARY KEY (one)
constraint leaderjobs.job_lines PRIMARY KEY (cluster, job, n)
constraint leaderjobs.jobs CHECK (((NOT full_pull) OR ((since IS NULL) AND (until IS NULL))))
constraint leaderjobs.jobs CHECK (((priority >= 0) AND (priority <= 9)))
constraint leaderjobs.jobs CHECK (((state <> 'running'::text) OR ((term IS NOT NULL) AND (member IS NOT NULL) AND (attempt > 0))))
constraint leaderjobs.jobs CHECK ((attempt >= 0))
constraint leaderjobs.jobs CHECK ((max_attempts > 0))
constraint leaderjobs.jobs CHECK ((since < until))
constraint leaderjobs.jobs CHECK ((state = ANY (ARRAY['scheduled'::text, 'available'::text, 'running'::text, 'retryable'::text, 'completed'::text, 'discarded'::text, 'cancelled'::text, 'uncertain'::text])))
constraint leaderjobs.jobs CHECK ((time_limit > '00:00:00'::interval))
constraint leaderjobs.jobs FOREIGN KEY (effect) REFERENCES leaderjobs.effects(id)
constraint leaderjobs.jobs PRIMARY KEY (id)
constraint leaderjobs.markers CHECK ((rows >= 0))
constraint leaderjobs.markers CHECK ((sequence > 0))
constraint leaderjobs.markers PRIMARY KEY (cluster, connection, stream)
constraint leaderjobs.met PRIMARY KEY (cluster, connection, pile, id)
constraint leaderjobs.notices CHECK ((event = ANY (ARRAY['failure'::text, 'recovery'::text])))
constraint leaderjobs.notices PRIMARY KEY (id)
constraint leaderjobs.quotas CHECK ((used >= 0))
constraint leaderjobs.quotas PRIMARY KEY (cluster, name)
constraint leaderjobs.schedules CHECK ((catch_up = ANY (ARRAY['skip'::text, 'latest'::text, 'all'::text])))
constraint leaderjobs.schedules CHECK ((overlap = ANY (ARRAY['skip'::text, 'queue'::text, 'cancel_running'::text])))
constraint leaderjobs.schedules CHECK ((source = ANY (ARRAY['file'::text, 'person'::text])))
constraint leaderjobs.schedules PRIMARY KEY (cluster, name)
constraint leaderjobs.schema_versions PRIMARY KEY (number)
constraint leaderjobs.stages PRIMARY KEY (cluster, connection, pile, page)
constraint leaderjobs.syncs CHECK ((max_attempts > 0))
constraint leaderjobs.syncs PRIMARY KEY (cluster, name)
constraint leaderjobs.terms CHECK ((number > 0))
constraint leaderjobs.terms CHECK ((token >= 0))
constraint leaderjobs.terms PRIMARY KEY (cluster, partition)
function advance(in_cluster text, in_connection text, in_stream text, expected bigint, in_resets bigint, more_rows bigint, new_cursor json, in_term bigint) returns TABLE(sequence bigint, rows bigint, committed_at timestamp with time zone) v
function after_ended(in_cluster text, ended bigint[]) returns void v
function apply_stages(in_schema text, in_table text, in_keys text[], in_cluster text, in_connection text, in_pile text, meeting boolean) returns void v
function backfill(in_cluster text, in_name text, in_fire_time timestamp with time zone, in_time_zone text, in_wish jsonb) returns jsonb v
function cancel_of_schedule(in_cluster text, in_schedule text) returns void v
function check_enqueue(in_cluster text, in_target text, in_key text, in_at timestamp with time zone, in_delay interval, in_priority integer, in_streams text[], in_on_conflict text, in_full boolean, in_since timestamp with time zone, in_until timestamp with time zone, in_time_limit interval) returns leaderjobs.syncs s
function column_expression(in_schema text, in_table text, in_column text) returns text s
function complete(in_cluster text, in_number bigint, in_ids bigint[], in_attempts integer[]) returns integer v
function decide(in_cluster text, in_name text, in_version bigint, in_from timestamp with time zone, in_until timestamp with time zone, in_missed bigint, in_term bigint, in_most_queued integer, in_fires jsonb) returns jsonb v
function drop_pile(in_cluster text, in_connection text, in_pile text) returns void v
function enqueue(target text, cluster text DEFAULT 'leaderjobs'::text, key text DEFAULT NULL::text, at timestamp with time zone DEFAULT NULL::timestamp with time zone, delay interval DEFAULT NULL::interval, priority integer DEFAULT 5, streams text[] DEFAULT NULL::text[], on_conflict text DEFAULT 'skip'::text, full_pull boolean DEFAULT false, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, time_limit interval DEFAULT NULL::interval) returns bigint v
function enter(in_cluster text, in_partition integer, in_number bigint, idle_ms integer, lock_ms integer, statement_ms integer) returns void v
function evict(in_cluster text, in_partition integer, newest bigint) returns integer v
function fence(in_cluster text, in_partition integer, in_number bigint) returns void v
function finish(in_cluster text, in_number bigint, in_endings jsonb) returns TABLE(id bigint, state text, scheduled_at timestamp with time zone) v
function fire(in_cluster text, in_schedule text, in_fire_time timestamp with time zone, in_at timestamp with time zone, in_wish jsonb) returns bigint v
function id_expression(keys text[]) returns text i
function json_boolean(doc jsonb, VARIADIC path text[]) returns boolean i
function json_date(doc jsonb, VARIADIC path text[]) returns date i
function json_json(doc jsonb, VARIADIC path text[]) returns jsonb i
function json_numeric(doc jsonb, VARIADIC path text[]) returns numeric i
function json_short_text(doc jsonb, VARIADIC path text[]) returns text i
function json_text(doc jsonb, VARIADIC path text[]) returns text i
function json_timestamptz(doc jsonb, VARIADIC path text[]) returns timestamp with time zone i
function land(in_schema text, in_table text, in_keys text[], in_cluster text, in_connection text, in_ord bigint, in_timed boolean, in_ordered boolean, body jsonb, upserts text[], deletes text, docs text[], gone text[]) returns void v
function land_deletions(in_schema text, in_table text, in_keys text[], in_cluster text, in_connection text, in_ord bigint, in_ordered boolean, body jsonb, deletes text, texts text[]) returns void v
function meet(in_keys text[], in_cluster text, in_connection text, in_pile text, label text, body jsonb, upserts text[]) returns void v
function order_at(orders jsonb, place bigint, label text) returns bigint v
function pause_failed(in_cluster text, ended bigint[]) returns void v
function plan(in_cluster text, in_effect jsonb, in_priority integer, in_at timestamp with time zone, in_schedule text DEFAULT NULL::text, in_fire_time timestamp with time zone DEFAULT NULL::timestamp with time zone) returns bigint v
function progress(in_cluster text, in_id bigint, in_term bigint, in_attempt integer, in_stream text, more_rows bigint, in_total bigint) returns void v
function publish_syncs(in_cluster text, in_syncs jsonb) returns void v
function record(in_cluster text, in_effect uuid, in_stamp uuid, in_told text, in_code text, in_message text, in_status integer, in_replayed boolean, in_should_retry boolean, in_request_id text, in_remote_id text, in_facts jsonb, in_retry_after interval) returns boolean v
function refuse(message text) returns text v
function rescue(in_cluster text, in_number bigint, in_most integer, in_reason text) returns integer v
function retire(in_schema text, in_table text, in_keys text[], in_cluster text, in_connection text, in_ord bigint, body jsonb, upserts text[], scope_column text, scope_value text) returns void v
function row_id(doc jsonb, key text, label text) returns text v
function row_ids(doc jsonb, keys text[], label text) returns text v
function rows_expression(apart boolean) returns text i
function rows_of(body jsonb, member text, label text) returns jsonb v
function scope_condition(in_schema text, in_table text, scope_column text, scope_value text) returns text s
function stamp(in_cluster text, in_effect uuid, in_version bigint, in_stamp uuid, in_term bigint, in_member text, in_basis text, in_window interval) returns TABLE(n integer, sent_at timestamp with time zone, version bigint) v
function sweep(in_schema text, in_table text, in_cluster text, in_connection text, in_pile text, in_ord bigint, scope_column text, scope_value text) returns void v
function term_name(in_cluster text, in_partition integer, in_number bigint) returns text i
function text_date(value text) returns date i
function text_timestamptz(value text) returns timestamp with time zone i
function wake(in_cluster text, in_connection text DEFAULT NULL::text, in_priority integer DEFAULT NULL::integer, in_at timestamp with time zone DEFAULT NULL::timestamp with time zone) returns void v
index CREATE INDEX effects_contradicted ON leaderjobs.effects USING btree (cluster) WHERE (contradiction <> ''::text)
index CREATE INDEX effects_newest ON leaderjobs.effects USING btree (cluster, created_at DESC)
index CREATE INDEX effects_open ON leaderjobs.effects USING btree (cluster, state) WHERE (state = ANY (ARRAY['planned'::text, 'sending'::text, 'uncertain'::text]))
index CREATE INDEX fires_age ON leaderjobs.fires USING btree (cluster, fire_time)
index CREATE INDEX jobs_claimable ON leaderjobs.jobs USING btree (cluster, connection, priority, ((effect IS NOT NULL)), scheduled_at, id) WHERE (state = ANY (ARRAY['scheduled'::text, 'available'::text, 'retryable'::text, 'uncertain'::text]))
index CREATE INDEX jobs_discarded ON leaderjobs.jobs USING btree (cluster, finished_at) WHERE (state = 'discarded'::text)
index CREATE INDEX jobs_of_schedule ON leaderjobs.jobs USING btree (cluster, schedule) WHERE ((schedule IS NOT NULL) AND (state <> ALL (ARRAY['completed'::text, 'discarded'::text, 'cancelled'::text])))
index CREATE INDEX jobs_running ON leaderjobs.jobs USING btree (cluster, term) WHERE (state = 'running'::text)
index CREATE INDEX notices_in_order ON leaderjobs.notices USING btree (cluster, id)
index CREATE UNIQUE INDEX attempts_pkey ON leaderjobs.attempts USING btree (cluster, job, n)
index CREATE UNIQUE INDEX breaches_pkey ON leaderjobs.breaches USING btree (cluster, target)
index CREATE UNIQUE INDEX columns_pkey ON leaderjobs.columns USING btree (namespace, relation, name)
index CREATE UNIQUE INDEX effect_sends_pkey ON leaderjobs.effect_sends USING btree (effect, n)
index CREATE UNIQUE INDEX effect_sends_stamp_key ON leaderjobs.effect_sends USING btree (stamp)
index CREATE UNIQUE INDEX effects_cluster_connection_operation_business_key_key ON leaderjobs.effects USING btree (cluster, connection, operation, business_key)
index CREATE UNIQUE INDEX effects_idempotency_key_key ON leaderjobs.effects USING btree (idempotency_key)
index CREATE UNIQUE INDEX effects_pkey ON leaderjobs.effects USING btree (id)
index CREATE UNIQUE INDEX fires_pkey ON leaderjobs.fires USING btree (cluster, schedule, fire_time)
index CREATE UNIQUE INDEX holds_pkey ON leaderjobs.holds USING btree (cluster, connection)
index CREATE UNIQUE INDEX installation_pkey ON leaderjobs.installation USING btree (one)
index CREATE UNIQUE INDEX job_lines_pkey ON leaderjobs.job_lines USING btree (cluster, job, n)
index CREATE UNIQUE INDEX jobs_effect ON leaderjobs.jobs USING btree (effect) WHERE (effect IS NOT NULL)
index CREATE UNIQUE INDEX jobs_key ON leaderjobs.jobs USING btree (cluster, key) WHERE ((key IS NOT NULL) AND (state <> ALL (ARRAY['completed'::text, 'discarded'::text, 'cancelled'::text])))
index CREATE UNIQUE INDEX jobs_pkey ON leaderjobs.jobs USING btree (id)
index CREATE UNIQUE INDEX markers_pkey ON leaderjobs.markers USING btree (cluster, connection, stream)
index CREATE UNIQUE INDEX met_pkey ON leaderjobs.met USING btree (cluster, connection, pile, id)
index CREATE UNIQUE INDEX notices_pkey ON leaderjobs.notices USING btree (id)
index CREATE UNIQUE INDEX quotas_pkey ON leaderjobs.quotas USING btree (cluster, name)
index CREATE UNIQUE INDEX schedules_pkey ON leaderjobs.schedules USING btree (cluster, name)
index CREATE UNIQUE INDEX schema_versions_pkey ON leaderjobs.schema_versions USING btree (number)
index CREATE UNIQUE INDEX stages_pkey ON leaderjobs.stages USING btree (cluster, connection, pile, page)
index CREATE UNIQUE INDEX syncs_pkey ON leaderjobs.syncs USING btree (cluster, name)
index CREATE UNIQUE INDEX terms_pkey ON leaderjobs.terms USING btree (cluster, partition)
options columns autovacuum_vacuum_scale_factor=0.05
options columns fillfactor=50
options effect_sends fillfactor=70
options effects autovacuum_vacuum_scale_factor=0.02
options effects fillfactor=70
options fires fillfactor=90
options jobs autovacuum_analyze_scale_factor=0.05
options jobs autovacuum_vacuum_cost_delay=0
options jobs autovacuum_vacuum_scale_factor=0.01
options jobs fillfactor=70
options markers autovacuum_vacuum_scale_factor=0.01
options markers fillfactor=50
options met autovacuum_vacuum_scale_factor=0.05
options quotas autovacuum_vacuum_scale_factor=0.01
options quotas fillfactor=50
options schedules autovacuum_vacuum_scale_factor=0.01
options schedules fillfactor=50
options stages autovacuum_vacuum_scale_factor=0.05
options terms fillfactor=50
