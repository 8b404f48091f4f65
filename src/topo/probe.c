/* SPDX-License-Identifier: ISC */
/* The questions. Names are qualified: nothing that somebody left in a search_path is called. The subquery with
 * OFFSET is evaluated once, so that one answer is about one role: what fails in recovery stands behind it, and
 * recovery ends but does not begin.
 *
 * pg_control_checkpoint() is stale just after a promotion (FACTS 5): it is asked only about a replica that
 * receives nothing. Without pg_read_all_stats the receiver's line has its pid and no more. */
#include "probe_private.h"

#include <stdlib.h>

#include "topo/lsn.h"

#define RECOVERING "FROM (SELECT pg_catalog.pg_is_in_recovery() AS recovering OFFSET 0) AS me"
#define POSITION                                                       \
    "CASE WHEN me.recovering THEN pg_catalog.pg_last_wal_replay_lsn()" \
    " ELSE pg_catalog.pg_current_wal_insert_lsn() END"
/* What it has on disk. A transaction that has not committed may leave WAL in memory for as long as it lasts. */
#define RECEIVED                                                        \
    "CASE WHEN me.recovering THEN pg_catalog.pg_last_wal_receive_lsn()" \
    " ELSE pg_catalog.pg_current_wal_flush_lsn() END"

enum {
    F_RECOVERING,
    F_POSITION,
    F_RECEIVED,
    N_SAMPLED,
    F_SYSTEM_ID = N_SAMPLED,
    F_TIMELINE,
    F_READ_ONLY_OR_RECEIVER,
    F_SEGMENT,
    F_PAGE,
    N_FIELDS
};

const char probe_sample_sql[] = "SELECT me.recovering, " POSITION ", " RECEIVED " " RECOVERING;

const char probe_sql[] =
    "SELECT me.recovering, " POSITION ", " RECEIVED ", s.system_identifier,"
    " CASE WHEN me.recovering THEN pg_catalog.to_hex(COALESCE(r.received_tli,"
    " GREATEST(c.timeline_id, v.min_recovery_end_timeline)))"
    " ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END,"
    " CASE WHEN me.recovering THEN COALESCE(r.status, CASE WHEN r.pid IS NULL THEN 'none' ELSE 'hidden' END)"
    " ELSE pg_catalog.current_setting('default_transaction_read_only') END,"
    " i.bytes_per_wal_segment, i.wal_block_size " RECOVERING " CROSS JOIN pg_catalog.pg_control_system() AS s"
    " CROSS JOIN pg_catalog.pg_control_init() AS i"
    " CROSS JOIN pg_catalog.pg_control_checkpoint() AS c"
    " CROSS JOIN pg_catalog.pg_control_recovery() AS v"
    " LEFT JOIN pg_catalog.pg_stat_wal_receiver AS r ON true";

const char probe_promote_sql[] = "SELECT pg_catalog.pg_promote(false)";

/* A number greater than 0 that is all of TEXT. */
static bool
read_number(const char *text, int base, uint64_t *out)
{
    char *end;

    if (text == NULL || *text == '\0' || *text == '-')
        return false;
    *out = strtoull(text, &end, base);
    return *end == '\0' && *out > 0;
}

static bool
read_recovering(const struct ask_answer *a, bool *recovering)
{
    const char *text = a->n_rows == 1 && a->n_fields > F_RECOVERING ? a->field[F_RECOVERING] : NULL;

    if (text == NULL || (strcmp(text, "t") != 0 && strcmp(text, "f") != 0))
        return false;
    *recovering = text[0] == 't';
    return true;
}

/* NULL is 0: nothing was replayed, or received, yet. */
static bool
read_lsn(const char *text, uint64_t *out)
{
    *out = 0;
    return text == NULL || lsn_parse(slice_str(text), out);
}

static bool
read_replica(struct probe *p, const struct ask_answer *a)
{
    const char *receiver = a->field[F_READ_ONLY_OR_RECEIVER];

    if (receiver == NULL)
        return false;
    if (p->received < p->lsn)
        p->received = p->lsn;
    p->role = NODE_REPLICA;
    p->read_only = false;
    p->stream = ELECT_CUT_OFF;
    if (strcmp(receiver, "streaming") == 0 || strcmp(receiver, "hidden") == 0)
        p->stream = ELECT_STREAMS;
    return true;
}

static bool
read_primary(struct probe *p, const struct ask_answer *a)
{
    const char *read_only = a->field[F_READ_ONLY_OR_RECEIVER];

    if (read_only == NULL || p->lsn == 0 || p->received == 0)
        return false;
    p->role = NODE_PRIMARY;
    p->read_only = strcmp(read_only, "on") == 0;
    p->lsn = lsn_without_header(p->lsn, p->segment_size, p->page_size);
    p->stream = ELECT_UNTOLD;
    return true;
}

/* Without a receiver a replica tells the timeline of its last restart point, perhaps not the one that it has
 * followed since. P is what it told before. */
static bool
has_followed(const struct probe *p, const struct probe *got)
{
    return got->role == NODE_REPLICA && got->stream == ELECT_CUT_OFF && p->role == NODE_REPLICA &&
           got->system_id == p->system_id && got->lsn >= p->lsn && got->timeline < p->timeline;
}

bool
probe_read(struct probe *p, const struct ask_answer *a, struct fault *why)
{
    struct probe got = { 0 };
    uint64_t timeline;
    bool recovering;

    if (!read_recovering(a, &recovering) || a->n_fields != N_FIELDS ||
        !read_lsn(a->field[F_POSITION], &got.lsn) || !read_lsn(a->field[F_RECEIVED], &got.received) ||
        !read_number(a->field[F_SYSTEM_ID], 10, &got.system_id) ||
        !read_number(a->field[F_TIMELINE], 16, &timeline) ||
        !read_number(a->field[F_SEGMENT], 10, &got.segment_size) ||
        !read_number(a->field[F_PAGE], 10, &got.page_size) ||
        !(recovering ? read_replica(&got, a) : read_primary(&got, a)))
        return fault_set(why, "08P01", "the answer to the check is not one of PostgreSQL");
    got.timeline = (uint32_t)timeline;
    if (has_followed(p, &got))
        got.timeline = p->timeline;
    *p = got;
    return true;
}

bool
probe_read_sample(struct probe *p, const struct ask_answer *a, bool *anew, struct fault *why)
{
    uint64_t lsn, received;
    bool recovering;

    if (!read_recovering(a, &recovering) || a->n_fields < N_SAMPLED || !read_lsn(a->field[F_POSITION], &lsn) ||
        !read_lsn(a->field[F_RECEIVED], &received) || lsn == 0 || (!recovering && received == 0))
        return fault_set(why, "08P01", "the answer to the check is not one of PostgreSQL");
    *anew = p->role != (recovering ? NODE_REPLICA : NODE_PRIMARY);
    if (*anew)
        return true;
    p->lsn = recovering ? lsn : lsn_without_header(lsn, p->segment_size, p->page_size);
    p->received = recovering && received < lsn ? lsn : received;
    return true;
}
