//! The cases, by topic. Each is a promise of the contract and a function that
//! panics if the promise is broken.

pub mod bad_input;
pub mod basics;
pub mod batch;
pub mod capabilities;
pub mod concurrency;
pub mod conditions;
pub mod counters;
pub mod expiry;
pub mod limits;
pub mod patterns;
pub mod random;
pub mod statistics;
pub mod tags;

use crate::Subject;

/// Why a call that a case makes cannot fail.
const OK: &str = "a legal operation on a backend that works";

/// A promise with the function that puts it to the test.
///
/// ```
/// use larder_testkit::CASES;
///
/// assert!(CASES.iter().any(|case| case.name == "gone_at_the_very_end"));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The promise in a few words.
    pub name: &'static str,
    run: fn(&Subject),
}

impl Case {
    /// Puts the promise to the test on a fresh subject.
    ///
    /// # Panics
    ///
    /// If the promise, or an invariant of the backend, is broken.
    pub fn run(&self, subject: &Subject) {
        (self.run)(subject);
        subject.check();
    }
}

/// Calls a macro with the list of all cases by topic. The list is here alone.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_case {
    ($($callback:tt)*) => {
        $($callback)*! {
            basics:
                a_value_comes_back_as_it_was_stored
                a_missing_key_is_none
                setting_again_replaces_value_and_lifetime
                delete_tells_whether_the_key_was_there
                exists_tells_without_counting
                clear_removes_everything_and_tells_how_many
                any_legal_key_works
                clones_are_the_same_cache;
            expiry:
                gone_at_the_very_end
                without_a_ttl_it_stays
                a_ttl_of_zero_removes_and_is_done
                touch_changes_the_lifetime_only
                touch_creates_nothing
                touch_with_zero_removes
                ttl_tells_the_rest
                what_expired_is_there_for_nobody;
            batch:
                get_many_keeps_order_omits_missing_and_repeats_nothing
                get_entries_tells_of_each_what_get_entry_does
                set_many_stores_all_with_one_lifetime
                delete_many_counts_what_was_there
                empty_batches_do_nothing
                a_bad_item_fails_alone;
            patterns:
                keys_lists_what_is_alive
                patterns_pick_the_right_keys
                scan_pages_through_all_keys_once
                delete_pattern_removes_what_matches
                delete_pattern_does_not_count_what_expired
                thousands_of_keys_are_listed_and_paged
                keys_feed_the_other_methods;
            counters:
                counting_starts_at_zero_and_goes_below
                a_stored_number_counts_and_a_counter_reads_as_a_number
                counting_keeps_the_lifetime
                a_new_counter_gets_the_lifetime_asked_for
                what_is_no_number_stays
                an_overflow_changes_nothing;
            statistics:
                hits_misses_sets_and_deletes_are_counted
                batches_count_per_key
                an_expired_get_is_a_miss_and_an_eviction
                an_expired_exists_is_no_miss
                expired_entries_are_not_current
                what_expired_is_no_delete
                a_reset_zeroes_live_counters_and_keeps_entries
                failures_are_counted
                a_failure_counts_once_and_is_reset;
            bad_input:
                bad_keys_are_refused_everywhere
                a_bad_key_in_a_batch_changes_nothing
                a_counter_cannot_be_born_dead;
            capabilities:
                listing_works_or_is_unsupported
                counting_works_or_is_unsupported
                touching_works_or_is_unsupported
                entries_work_or_are_unsupported
                metadata_is_kept_or_unsupported
                tags_work_or_are_unsupported
                conditions_hold_or_are_unsupported
                patterns_by_name_work_or_are_unsupported
                regular_expressions_work_or_are_unsupported;
            tags:
                any_of_the_tags_or_all_of_them
                whoever_asks_finds_nothing_invalidated
                what_replaces_has_its_own_tags
                what_is_stored_after_an_invalidation_lives
                a_batch_has_the_same_tags
                entries_tell_their_tags
                bad_tags_change_nothing;
            conditions:
                an_expired_key_counts_as_absent
                a_refused_set_counts_no_set_and_changes_nothing
                a_condition_holds_for_each_item_of_a_batch;
            limits:
                a_value_over_the_limit_is_refused_and_the_old_one_goes
                a_value_exactly_as_large_as_the_limit_fits
                the_least_recently_used_makes_room
                looking_is_no_use
                replacing_adjusts_the_size_and_evicts_nothing
                a_large_value_takes_as_many_victims_as_it_needs
                what_expired_goes_before_what_lives
                the_size_never_exceeds_the_limit;
            concurrency:
                no_reader_sees_the_value_of_another_key
                concurrent_counting_loses_nothing;
            random:
                random_sequences_agree_with_the_model;
        }
    };
}

macro_rules! table {
    ($($topic:ident: $($case:ident)*;)*) => {
        /// All cases.
        pub const CASES: &[Case] = &[
            $($(Case { name: stringify!($case), run: $topic::$case },)*)*
        ];
    };
}

for_each_case!(table);
