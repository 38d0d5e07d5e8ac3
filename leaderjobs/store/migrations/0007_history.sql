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
    -- Lines right before this one that were said and are not kept.
    left_out integer NOT NULL DEFAULT 0,
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
CREATE INDEX notices_in_order ON leaderjobs.notices (cluster, id);
COMMENT ON TABLE leaderjobs.notices IS 'What hooks are to be told; written in the transaction that ends the job';

-- Called with the jobs that a transaction has just ended (completed or discarded), inside of it, in the order in
-- which they ended. A target's first discarded job opens its breach, the next completed one closes it; each of the two
-- is told once. A busy queue calls this for hundreds of jobs at a time, so where nothing failed and no breach is open
-- it looks at their states once and does nothing.
CREATE FUNCTION leaderjobs.after_ended(in_cluster text, ended bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    failed bigint[];
    job leaderjobs.jobs;
    breach_since timestamptz;
BEGIN
    SELECT array_agg(j.id) INTO failed
    FROM leaderjobs.jobs j
    WHERE j.id = ANY (ended) AND j.cluster = in_cluster AND j.state = 'discarded';
    IF failed IS NULL AND NOT EXISTS (SELECT FROM leaderjobs.breaches b WHERE b.cluster = in_cluster) THEN
        RETURN;
    END IF;
    FOR job IN
        SELECT j.*
        FROM unnest(ended) WITH ORDINALITY AS given (id, place)
        JOIN leaderjobs.jobs j ON j.id = given.id AND j.cluster = in_cluster
        WHERE j.state = 'discarded'
           OR j.state = 'completed' AND (
                EXISTS (SELECT FROM leaderjobs.breaches b WHERE b.cluster = in_cluster AND b.target = j.target)
                OR j.target IN (SELECT d.target FROM leaderjobs.jobs d WHERE d.id = ANY (failed))
           )
        ORDER BY given.place
    LOOP
        breach_since := NULL;
        IF job.state = 'discarded' THEN
            INSERT INTO leaderjobs.breaches (cluster, target, since, job)
            VALUES (in_cluster, job.target, now(), job.id)
            ON CONFLICT DO NOTHING
            RETURNING since INTO breach_since;
        ELSE
            DELETE FROM leaderjobs.breaches b
            WHERE b.cluster = in_cluster AND b.target = job.target
            RETURNING b.since INTO breach_since;
        END IF;
        IF breach_since IS NOT NULL THEN
            INSERT INTO leaderjobs.notices (cluster, event, target, schedule, job, attempt, term, member, error, since)
            VALUES (in_cluster, CASE job.state WHEN 'discarded' THEN 'failure' ELSE 'recovery' END, job.target,
                    job.schedule, job.id, job.attempt, coalesce(job.term, 0), coalesce(job.member, ''),
                    CASE job.state WHEN 'discarded' THEN coalesce(job.error, '') ELSE '' END, breach_since);
        END IF;
    END LOOP;
    IF failed IS NOT NULL THEN
        PERFORM leaderjobs.pause_failed(in_cluster, failed);
    END IF;
END
$$;
