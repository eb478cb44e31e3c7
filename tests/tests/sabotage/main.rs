//! The suite can fail: each broken promise is caught by a case of its name.

mod backend;
mod counting;
mod flaw;

use backend::{MAX_SIZE_BYTES, Sabotaged};
use flaw::Flaw;
use larder_testkit::{CASES, Subject};

/// Each flaw with a case that must catch it.
const CAUGHT_BY: &[(Flaw, &str)] = &[
    (
        Flaw::LosesEmptyValues,
        "a_value_comes_back_as_it_was_stored",
    ),
    (Flaw::CutsLargeValues, "a_value_comes_back_as_it_was_stored"),
    (Flaw::FindsWhatIsMissing, "a_missing_key_is_none"),
    (
        Flaw::KeepsTheOldLifetime,
        "setting_again_replaces_value_and_lifetime",
    ),
    (
        Flaw::DeletesWhatIsMissing,
        "delete_tells_whether_the_key_was_there",
    ),
    (Flaw::CountsExistsAsGet, "exists_tells_without_counting"),
    (
        Flaw::MiscountsClear,
        "clear_removes_everything_and_tells_how_many",
    ),
    (Flaw::FoldsCase, "any_legal_key_works"),
    (Flaw::ExpiresLate, "gone_at_the_very_end"),
    (Flaw::ExpiresEarly, "gone_at_the_very_end"),
    (Flaw::ExpiresEverything, "without_a_ttl_it_stays"),
    (Flaw::TouchCreates, "touch_creates_nothing"),
    (Flaw::TouchDoesNothing, "touch_changes_the_lifetime_only"),
    (Flaw::TtlIsConstant, "ttl_tells_the_rest"),
    (
        Flaw::RepeatsKeys,
        "get_many_keeps_order_omits_missing_and_repeats_nothing",
    ),
    (
        Flaw::ReversesKeys,
        "get_many_keeps_order_omits_missing_and_repeats_nothing",
    ),
    (
        Flaw::ForgetsLastItem,
        "set_many_stores_all_with_one_lifetime",
    ),
    (Flaw::CountsAllDeletes, "delete_many_counts_what_was_there"),
    (Flaw::HidesOneKey, "keys_lists_what_is_alive"),
    (Flaw::IgnoresPatterns, "patterns_pick_the_right_keys"),
    (Flaw::RepeatsPages, "scan_pages_through_all_keys_once"),
    (
        Flaw::DeletesOneTooMany,
        "delete_pattern_removes_what_matches",
    ),
    (
        Flaw::CountsFromOne,
        "counting_starts_at_zero_and_goes_below",
    ),
    (Flaw::StopsAtZero, "counting_starts_at_zero_and_goes_below"),
    (Flaw::CountingEndsLifetime, "counting_keeps_the_lifetime"),
    (
        Flaw::NewCountersNeverEnd,
        "a_new_counter_gets_the_lifetime_asked_for",
    ),
    (Flaw::TextCountsAsZero, "what_is_no_number_stays"),
    (Flaw::WrapsAround, "an_overflow_changes_nothing"),
    (
        Flaw::ResetsOnlyTheCopy,
        "a_reset_zeroes_live_counters_and_keeps_entries",
    ),
    (
        Flaw::CountsExpiredAsCurrent,
        "expired_entries_are_not_current",
    ),
    (Flaw::ForgetsMetadata, "metadata_is_kept_or_unsupported"),
    (
        Flaw::IgnoresConditions,
        "conditions_hold_or_are_unsupported",
    ),
    (Flaw::PromisesTags, "tags_work_or_are_unsupported"),
    (Flaw::AllTagsAreAny, "any_of_the_tags_or_all_of_them"),
    (
        Flaw::FindsWhatIsMissing,
        "whoever_asks_finds_nothing_invalidated",
    ),
    (Flaw::KeepsOldTags, "what_replaces_has_its_own_tags"),
    (
        Flaw::InvalidatesForEver,
        "what_is_stored_after_an_invalidation_lives",
    ),
    (Flaw::BatchForgetsTags, "a_batch_has_the_same_tags"),
    (Flaw::PromisesTags, "entries_tell_their_tags"),
    (Flaw::CountsInTwoSteps, "concurrent_counting_loses_nothing"),
    (Flaw::MixesUpKeys, "no_reader_sees_the_value_of_another_key"),
    (Flaw::ExpiresLate, "random_sequences_agree_with_the_model"),
    (Flaw::StopsAtZero, "random_sequences_agree_with_the_model"),
    (
        Flaw::DeleteRemovesNothing,
        "a_ttl_of_zero_removes_and_is_done",
    ),
    (Flaw::DeleteRemovesNothing, "touch_with_zero_removes"),
    (Flaw::DeleteRemovesNothing, "clones_are_the_same_cache"),
    (Flaw::BatchFillsGaps, "what_expired_is_there_for_nobody"),
    (Flaw::CountsAllDeletes, "what_expired_is_there_for_nobody"),
    (Flaw::KeysHaveAPrefix, "keys_feed_the_other_methods"),
    (
        Flaw::MiscountsPatterns,
        "delete_pattern_does_not_count_what_expired",
    ),
    (
        Flaw::ListsAThousand,
        "thousands_of_keys_are_listed_and_paged",
    ),
    (Flaw::RepeatsPages, "thousands_of_keys_are_listed_and_paged"),
    (
        Flaw::CountersArePadded,
        "a_stored_number_counts_and_a_counter_reads_as_a_number",
    ),
    (
        Flaw::CountsClearAsDeletes,
        "hits_misses_sets_and_deletes_are_counted",
    ),
    (
        Flaw::SizeIncludesKeys,
        "hits_misses_sets_and_deletes_are_counted",
    ),
    (Flaw::CountsABatchAsOne, "batches_count_per_key"),
    (
        Flaw::ForgetsExpired,
        "an_expired_get_is_a_miss_and_an_eviction",
    ),
    (Flaw::CountsExistsAsGet, "an_expired_exists_is_no_miss"),
    (Flaw::CountsExpiredAsDeletes, "what_expired_is_no_delete"),
    (Flaw::PromisesOnly, "listing_works_or_is_unsupported"),
    (Flaw::PromisesOnly, "counting_works_or_is_unsupported"),
    (Flaw::PromisesOnly, "touching_works_or_is_unsupported"),
    (Flaw::PromisesOnly, "entries_work_or_are_unsupported"),
    (
        Flaw::PromisesOnly,
        "patterns_by_name_work_or_are_unsupported",
    ),
    (
        Flaw::ReversesEntries,
        "get_entries_tells_of_each_what_get_entry_does",
    ),
    (Flaw::ForgetsTimes, "entries_work_or_are_unsupported"),
    (Flaw::IgnoresConditions, "an_expired_key_counts_as_absent"),
    (
        Flaw::CountsRefusedSets,
        "a_refused_set_counts_no_set_and_changes_nothing",
    ),
    (
        Flaw::BatchIgnoresConditions,
        "a_condition_holds_for_each_item_of_a_batch",
    ),
    (
        Flaw::KeepsTheOldOversized,
        "a_value_over_the_limit_is_refused_and_the_old_one_goes",
    ),
    (
        Flaw::HasALargerLimit,
        "a_value_over_the_limit_is_refused_and_the_old_one_goes",
    ),
    (
        Flaw::RefusesTheLimit,
        "a_value_exactly_as_large_as_the_limit_fits",
    ),
    (Flaw::ReadingIsNoUse, "the_least_recently_used_makes_room"),
    (Flaw::WritingIsNoUse, "the_least_recently_used_makes_room"),
    (Flaw::CountsExistsAsGet, "looking_is_no_use"),
    (
        Flaw::SizeNeverShrinks,
        "replacing_adjusts_the_size_and_evicts_nothing",
    ),
    (
        Flaw::EvictsOneTooMany,
        "a_large_value_takes_as_many_victims_as_it_needs",
    ),
    (Flaw::ExpiresLate, "what_expired_goes_before_what_lives"),
    (Flaw::HasALargerLimit, "the_size_never_exceeds_the_limit"),
    (Flaw::ForgetsTimes, "random_sequences_agree_with_the_model"),
    (
        Flaw::BatchFillsGaps,
        "random_sequences_agree_with_the_model",
    ),
    (
        Flaw::MiscountsPatterns,
        "random_sequences_agree_with_the_model",
    ),
    (
        Flaw::CountsExpiredAsDeletes,
        "random_sequences_agree_with_the_model",
    ),
    (
        Flaw::IgnoresPatterns,
        "patterns_by_name_work_or_are_unsupported",
    ),
    (
        Flaw::IgnoresPatterns,
        "regular_expressions_work_or_are_unsupported",
    ),
];

/// Cases about rules that the shared handle keeps: no backend can break them.
const KEPT_BY_THE_HANDLE: &[&str] = &[
    "empty_batches_do_nothing",
    "a_bad_item_fails_alone",
    "failures_are_counted",
    "a_failure_counts_once_and_is_reset",
    "bad_keys_are_refused_everywhere",
    "a_bad_key_in_a_batch_changes_nothing",
    "a_counter_cannot_be_born_dead",
    "bad_tags_change_nothing",
];

fn fails(flaw: Flaw, case: &str) -> bool {
    let case = CASES
        .iter()
        .find(|other| other.name == case)
        .expect("it is in the list");
    std::panic::catch_unwind(|| case.run(&subject(flaw))).is_err()
}

fn subject(flaw: Flaw) -> Subject {
    Subject::new(|clock| Sabotaged::new(flaw, clock)).with_max_size_bytes(MAX_SIZE_BYTES)
}

#[test]
fn every_flaw_is_caught_by_the_case_for_it() {
    // The cases panic on purpose; their messages would only confuse.
    std::panic::set_hook(Box::new(|_| {}));
    let missed: Vec<_> = CAUGHT_BY
        .iter()
        .filter(|(flaw, case)| !fails(*flaw, case))
        .collect();
    let _ = std::panic::take_hook();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn without_a_flaw_every_case_passes() {
    for case in CASES {
        case.run(&subject(Flaw::None));
    }
}

#[test]
fn every_case_is_known_to_fail_or_to_be_kept_by_the_handle() {
    for case in CASES {
        let is_caught = CAUGHT_BY.iter().any(|(_, name)| *name == case.name);
        let is_kept = KEPT_BY_THE_HANDLE.contains(&case.name);
        assert!(is_caught != is_kept, "{}: add a flaw it catches", case.name);
    }
}
