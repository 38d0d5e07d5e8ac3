-- breaking: no
-- What became of every attempt, what connectors said meanwhile, and whom to tell when a target breaks.

-- Attempts that ended in anything but completion; that one stands in the job's own row, which has its term, member,
-- beginning and end: a second row for each job would be a third of a busy queue's writes.
CREATE TABLE leaderjobs.attempts (
    cluster text NOT NULL,
    job bigint NOT NULL,
    n bigint GENERATED ALWAYS AS IDENTITY,
    attempt integer NOT NULL,
    term bigint NOT NULL,
    member text NOT NULL,
    started_at timestamptz,
    ended_at timestamptz NOT NULL DEFAULT now(),
    -- retried, held, postponed, uncertain, discarded, cancelled, given_back, rescued
    outcome text NOT NULL,
    error text,
    PRIMARY KEY (cluster, job, n)
);
COMMENT ON TABLE leaderjobs.attempts IS 'Attempts that did not complete their job, the oldest first by n';

CREATE TABLE leaderjobs.job_lines (
    cluster text NOT NULL,
    job bigint NOT NULL,
    n bigint GENERATED ALWAYS AS IDENTITY,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (cluster, job, n)
);
COMMENT ON TABLE leaderjobs.job_lines IS 'What connectors said while a job ran; bounded for each attempt';

CREATE TABLE leaderjobs.breaches (
    cluster text NOT NULL,
    target text NOT NULL,
    since timestamptz NOT NULL,
    job bigint NOT NULL,
    PRIMARY KEY (cluster, target)
);
COMMENT ON TABLE leaderjobs.breaches IS 'Targets whose last ended job was discarded; gone when one completes';

CREATE TABLE leaderjobs.notices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster text NOT NULL,
    event text NOT NULL CHECK (event IN ('failure', 'recovery')),
    target text NOT NULL,
    schedule text,
    job bigint NOT NULL,
    attempt integer NOT NULL,
    term bigint NOT NULL,
    member text NOT NULL,
    error text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT now(),
    since timestamptz NOT NULL,
    -- Hooks that were told, or given up.
    told text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE leaderjobs.notices IS 'What hooks are to be told; written in the transaction that ends the job';

-- Called with the jobs that a transaction has just ended (completed or discarded), inside of it.
CREATE FUNCTION leaderjobs.after_ended(in_cluster text, ended bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    NULL;
END
$$;
