/* SPDX-License-Identifier: ISC */
#include "session/half_session.h"

/* Random pushes and pops, with n_done as a mark, against two counters. */
static void
what_is_outstanding_comes_out_in_order(void **state)
{
    struct half *h = *state;
    struct session *s = &h->session;
    uint16_t in = 0, out = 0;
    uint64_t seed = 61;

    for (int step = 0; step < 20000; step++) {
        uint64_t r = draw(&seed);

        if (r % 100 < (step / 1000 % 2 == 0 ? 60 : 40))
            pending_push(s, r / 128 % 2 == 0 ? PENDING_SYNC : PENDING_COPY_END,
                         r / 256 % 2 == 0 ? PENDING_LOCAL : 0)
                ->n_done = in++;
        else if (in != out) {
            assert_int_equal(pending_head(s)->n_done, out++);
            pending_pop(s);
        }
        assert_int_equal(pending_count(s), (uint16_t)(in - out));
        assert_int_equal(pending_is_empty(s), in == out);
        if (in != out)
            assert_int_equal(pending_at(s, pending_count(s) - 1)->n_done, (uint16_t)(in - 1));
    }
    pending_done(s);
    assert_null(s->pending);
    assert_int_equal(s->n_local, 0);
    assert_int_equal(s->n_copy_ends, 0);
    assert_null(pending_head(s));
}

static void
answers_of_our_own_are_given_when_their_turn_comes(void **state)
{
    struct half *h = *state;
    struct session *s = &h->session;
    struct fault *why = mem_new(struct fault);
    char buf[500];

    pending_push(s, PENDING_PARSE, PENDING_LOCAL);
    pending_push(s, PENDING_EXECUTE, 0);
    pending_push(s, PENDING_CLOSE, PENDING_LOCAL);
    pending_push(s, PENDING_SYNC, PENDING_LOCAL);
    pending_push(s, PENDING_QUERY, PENDING_LOCAL);
    fault_set(why, "0A000", "no");
    pending_push(s, PENDING_REFUSAL, PENDING_LOCAL | PENDING_READY)->refusal = why;
    pending_answer_local(s);
    assert_slice(half_said(h, buf, sizeof(buf)), "1\0\0\0\4");
    assert_int_equal(pending_head(s)->kind, PENDING_EXECUTE);
    pending_answer_local(s);
    assert_int_equal(half_said(h, buf, sizeof(buf)).len, 0);
    pending_pop(s);
    s->status = 'T';
    pending_answer_local(s);
    assert_slice(half_said(h, buf, sizeof(buf)), "3\0\0\0\4"
                                                 "Z\0\0\0\5T"
                                                 "C\0\0\0\17DEALLOCATE\0Z\0\0\0\5T"
                                                 "E\0\0\0\36SERROR\0VERROR\0C0A000\0Mno\0\0Z\0\0\0\5T");
    assert_true(pending_is_empty(s));
}

static struct statement *
intern(struct half *h, const char *sql)
{
    bool parsed;

    return statement_intern(&h->session, slice_str(sql), SLICE("\0\0"), true, &parsed);
}

/* Its Parse was sent, or not at all, and then the batch failed. */
static void
an_error_skips_to_sync_and_forgets_what_was_promised(void **state)
{
    struct half *h = *state;
    struct session *s = &h->session;
    struct statement *kept = intern(h, "SELECT 1"), *lost = intern(h, "SELECT 2");

    prepared_names_add(s, SLICE("kept"), kept);
    prepared_names_add(s, SLICE("lost"), lost);
    prepared_add(h->server.prepared, kept->id, 7);
    prepared_add(h->server.prepared, lost->id, 7);
    pending_push(s, PENDING_PARSE, PENDING_DUPLICATE)->name = mem_strdup("kept");
    pending_push(s, PENDING_PARSE, 0)->statement = lost;
    pending_push(s, PENDING_BIND, 0);
    assert_false(pending_skip_to_sync(s));
    assert_true(pending_is_empty(s));
    assert_ptr_equal(prepared_names_find(s, SLICE("kept")), kept);
    assert_null(prepared_names_find(s, SLICE("lost")));
    assert_int_equal(prepared_born(h->server.prepared, kept->id), 7);
    assert_int_equal(prepared_count(h->server.prepared), 1);
    pending_push(s, PENDING_EXECUTE, 0);
    pending_push(s, PENDING_SYNC, 0);
    pending_push(s, PENDING_BIND, 0);
    assert_true(pending_skip_to_sync(s));
    assert_int_equal(pending_head(s)->kind, PENDING_SYNC);
    assert_int_equal(pending_count(s), 2);
    statement_drop(kept);
}

static void
the_end_of_a_copy_takes_away_what_was_sent_while_it_ran(void **state)
{
    struct session *s = &((struct half *)*state)->session;

    pending_push(s, PENDING_EXECUTE, 0);
    pending_push(s, PENDING_SYNC, 0);
    assert_true(pending_begin_copy(s));
    pending_push(s, PENDING_COPY_END, PENDING_LOCAL);
    pending_push(s, PENDING_SYNC, 0);
    pending_skip_copy(s);
    assert_int_equal(pending_count(s), 1);
    pending_pop(s);
    pending_push(s, PENDING_EXECUTE, 0);
    pending_push(s, PENDING_SYNC, 0);
    assert_true(pending_begin_copy(s));
    pending_skip_copy(s); /* it failed before its end was sent */
    assert_true(pending_is_empty(s));
}

static void
the_end_of_a_copy_may_be_sent_before_the_server_has_begun_it(void **state)
{
    struct session *s = &((struct half *)*state)->session;

    pending_push(s, PENDING_EXECUTE, 0);
    pending_push(s, PENDING_COPY_END, PENDING_LOCAL);
    pending_push(s, PENDING_SYNC, 0);
    pending_push(s, PENDING_QUERY, 0);
    pending_push(s, PENDING_COPY_END, PENDING_LOCAL);
    assert_false(pending_begin_copy(s));
    pending_skip_copy(s);
    assert_int_equal(pending_head(s)->kind, PENDING_SYNC);
    pending_pop(s);
    assert_false(pending_begin_copy(s));
    assert_true(pending_begin_copy(s)); /* the second COPY of this query */
    pending_pop(s);
    pending_answer_head(s);
    assert_true(pending_is_empty(s));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        HALF(what_is_outstanding_comes_out_in_order),
        HALF(answers_of_our_own_are_given_when_their_turn_comes),
        HALF(an_error_skips_to_sync_and_forgets_what_was_promised),
        HALF(the_end_of_a_copy_takes_away_what_was_sent_while_it_ran),
        HALF(the_end_of_a_copy_may_be_sent_before_the_server_has_begun_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
