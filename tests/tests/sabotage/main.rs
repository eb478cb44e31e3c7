//! The suite can fail: each broken promise is caught by a case of its name.

mod backend;

use backend::{Flaw, Sabotaged};
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
    (Flaw::CountsInTwoSteps, "concurrent_counting_loses_nothing"),
    (Flaw::MixesUpKeys, "no_reader_sees_the_value_of_another_key"),
    (Flaw::ExpiresLate, "random_sequences_agree_with_the_model"),
    (Flaw::StopsAtZero, "random_sequences_agree_with_the_model"),
];

fn fails(flaw: Flaw, case: &str) -> bool {
    let case = CASES
        .iter()
        .find(|other| other.name == case)
        .expect("it is in the list");
    std::panic::catch_unwind(|| case.run(&Subject::new(|clock| Sabotaged::new(flaw, clock))))
        .is_err()
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
        case.run(&Subject::new(|clock| Sabotaged::new(Flaw::None, clock)));
    }
}
