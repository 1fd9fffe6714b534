//! The lists of tests, each written down once, and the macros that make `#[test]`s of them.

/// The tests of L1 to L12, handed to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_list {
    ($with:ident $($args:tt)*) => {
        $crate::$with! { [$($args)*]
            l1_no_number_is_reused
            l1_a_dead_grain_goes_on_with_the_next_number
            l1_numbers_end_at_two_to_the_53
            l1_heads_say_what_came_last
            l1_random_histories_only_rise
            l2_bad_entries_are_invalid
            l2_invalid_is_said_before_fenced
            l2_fenced_is_said_before_a_retry
            l2_fenced_is_said_before_a_conflict
            l2_the_head_again_is_a_retry
            l2_a_retry_is_the_same_bytes
            l2_a_new_epoch_begins_with_a_base
            l2_an_unclaimed_epoch_follows_directly
            l2_the_first_number_is_free
            l2_a_claimed_epoch_may_leap
            l2_a_delta_follows_the_head_directly
            l2_a_base_leaps_at_most_two_to_the_32
            l2_a_conflict_names_the_head
            l2_one_of_many_racing_appends_wins
            l2_a_lower_epoch_is_fenced
            l2_a_claimed_epoch_has_one_writer
            l2_an_unclaimed_append_moves_the_fence
            l2_an_epoch_above_a_claim_takes_over
            l2_racing_writers_of_one_epoch
            l2_random_appends_are_judged_by_the_rule
            l3_a_batch_is_answered_per_grain
            l3_a_grain_stops_at_the_first_refusal
            l3_grains_are_independent
            l3_a_retry_resumes_behind_the_head
            l3_an_overtaken_batch_is_refused
            l3_racing_batches_land_as_prefixes
            l3_a_batch_over_a_limit_writes_nothing
            l4_a_grain_without_entries_can_be_claimed
            l4_a_claim_is_judged_by_the_fence
            l4_a_claim_changes_nothing_that_is_read
            l4_a_claim_fences_the_former_writer
            l4_claims_are_answered_in_order
            l4_fences_are_told_apart_by_bytes
            l4_one_of_many_racing_claims_wins
            l5_no_hole_fills_in_later
            l5_entries_stay_as_they_are
            l5_below_the_floor_is_gone_for_good
            l6_entries_come_back_whole
            l6_grains_are_told_apart_by_bytes
            l6_reads_strictly_after
            l6_more_is_truthful_within_any_budget
            l6_one_entry_comes_however_large
            l6_an_unknown_grain_is_empty
            l6_below_the_floor_is_truncated
            l6_a_page_is_of_one_grain
            l7_truncation_is_rounded_down_to_a_base
            l7_beyond_the_head_the_newest_base_stays
            l7_truncation_again_changes_nothing
            l7_dead_grains_keep_head_fence_and_floor
            l7_a_claim_survives_truncation
            l7_nothing_to_truncate_is_no_error
            l7_grains_are_told_apart_by_bytes
            l7_readers_always_find_a_base
            l8_runs_begin_at_the_base_or_follow
            l8_a_backlog_of_whole_states_costs_one_entry
            l8_a_newer_whole_state_overtakes_deltas
            l8_a_budget_cuts_at_entries_and_never_to_nothing
            l8_nothing_to_do_is_complete
            l8_a_shared_budget_defers_and_progresses
            l8_runs_are_whole_under_concurrent_change
            l8_runs_carry_the_entries_of_the_log
            l8_random_histories_are_caught_up
            l9_reads_see_what_was_acknowledged
            l9_latest_sequence_is_the_heads
            l9_listings_are_in_byte_order
            l9_listings_hold_what_the_filter_says
            l9_listings_hold_what_a_key_prefix_says
            l9_listings_hold_what_slices_say
            l9_shares_are_a_partition
            l9_a_sparse_filter_is_listed_to_its_end
            l9_listings_go_on_after_any_id
            l9_listings_end
            l9_listings_agree_with_heads
            l10_reopened_log_holds_what_it_acknowledged
            l10_reopened_log_holds_claims
            l11_reopened_log_is_the_same_log
            l11_two_logs_have_two_names
            l12_the_largest_payload_is_exact
            l12_the_largest_batch_is_taken
            l12_an_oversized_entry_is_its_grains_own
        }
    };
}

/// The tests of F1 to F5, handed to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __feed_list {
    ($with:ident $($args:tt)*) => {
        $crate::$with! { [$($args)*]
            f1_every_moved_grain_is_named
            f1_heads_in_a_page_are_the_logs
            f1_a_filter_leaves_out_none_of_its_own
            f1_grains_are_named_by_their_bytes
            f1_a_filter_by_prefix_or_slices_names_its_own_alone
            f1_shares_are_a_partition
            f1_a_sparse_filter_is_read_to_its_end
            f1_a_claim_moves_nothing
            f1_nothing_is_left_out_while_many_write
            f1_nothing_of_a_type_is_left_out_while_many_write
            f2_next_is_of_the_pages_snapshot
            f2_what_comes_later_is_after_next
            f2_the_end_is_complete
            f3_a_wider_filter_is_expired
            f3_a_wider_prefix_or_slice_is_expired
            f3_another_identity_is_expired
            f3_beyond_the_end_is_expired
            f3_start_list_changes_miss_nothing
            f4_any_limit_gets_to_the_end
            f5_a_wait_ends_at_once_if_something_is_there
            f5_a_wait_ends_at_its_deadline
            f5_an_append_wakes_a_waiter
            f5_a_dropped_wait_loses_nothing
            f5_pushed_entries_are_the_logs
        }
    };
}

/// The tests of S1 to S9, handed to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_list {
    ($with:ident $($args:tt)*) => {
        $crate::$with! { [$($args)*]
            s1_a_row_is_that_of_its_last_entry
            s1_grains_are_told_apart_by_bytes
            s1_a_stopped_run_ends_at_an_entry
            s1_long_runs_are_folded_whole
            s1_random_runs_agree_with_the_rule
            s2_entries_at_or_below_change_nothing
            s2_nothing_older_overwrites
            s3_a_misfit_is_a_gap_and_changes_nothing
            s3_fitting_is_checked_when_written
            s3_without_a_fold_a_delta_stops
            s4_readers_see_one_moment
            s4_readers_see_one_moment_through_rebases
            s4_listings_are_in_byte_order
            s4_listings_hold_what_the_filter_says
            s4_listings_hold_what_a_key_prefix_says
            s4_listings_go_on_after_any_id
            s4_marks_are_in_the_order_asked_for
            s4_a_handle_lasts
            s5_a_dropped_call_is_before_or_after
            s5_reopened_store_holds_what_it_answered
            s6_only_what_was_named_is_removed
            s6_grains_are_told_apart_by_bytes
            s6_a_whole_state_replaces_everything
            s6_a_tombstone_keeps_the_cursor
            s7_trouble_touches_no_neighbour
            s7_a_failed_fold_keeps_the_last_state
            s7_an_oversized_state_is_refused
            s7_a_newer_schema_stops_the_run
            s7_outcomes_are_in_the_order_of_the_runs
            s8_a_rebase_compares_and_sets
            s8_a_rebase_may_be_the_first
            s8_grains_are_told_apart_by_bytes
            s8_a_rebase_is_whole_or_nothing
            s8_a_late_apply_changes_nothing
            s8_a_late_first_apply_brings_nothing_back
            s8_generations_only_rise
            s8_an_unknown_generation_is_refused
            s8_a_remove_compares
            s8_one_of_many_racing_rebases_wins
            s8_reopened_store_refuses_late_applies
            s9_a_store_is_bound_to_one_log
            s9_a_foreign_run_changes_nothing
            s9_a_replica_changes_its_log_by_rebase_alone
            s9_a_foreign_replica_can_be_removed
            s9_reopened_store_remembers_its_log
        }
    };
}

/// A `#[test]` a name, which runs it by that name.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ([$check:ident $factory:expr] $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::$check(&$factory, stringify!($name));
            }
        )*
    };
}

/// A list of [`Clause`](crate::Clause)s.
#[doc(hidden)]
#[macro_export]
macro_rules! __clauses {
    ([$module:ident] $($name:ident)*) => {
        vec![
            $(
                $crate::Clause::new(stringify!($name), |factory| {
                    Box::pin($crate::$module::$name(factory))
                }),
            )*
        ]
    };
}

/// A `#[test]` for each promise of L1 to L12, on the logs of a [`LogFactory`](crate::LogFactory).
///
/// The expression is evaluated in each test. Put the macro into a module of its own: the tests are
/// named after the clauses alone.
#[macro_export]
macro_rules! log_conformance {
    ($factory:expr $(,)?) => {
        $crate::__log_list! { __tests check_log $factory }
    };
}

/// A `#[test]` for each promise of F1 to F5, on the feeds of a [`LogFactory`](crate::LogFactory)'s
/// logs. A log without a feed leaves this macro out.
#[macro_export]
macro_rules! feed_conformance {
    ($factory:expr $(,)?) => {
        $crate::__feed_list! { __tests check_log $factory }
    };
}

/// A `#[test]` for each promise of S1 to S9, on the stores of a
/// [`StoreFactory`](crate::StoreFactory).
#[macro_export]
macro_rules! store_conformance {
    ($factory:expr $(,)?) => {
        $crate::__store_list! { __tests check_store $factory }
    };
}
