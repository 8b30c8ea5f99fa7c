"""
Why this client may be trusted: each promise, and the tests that fail where it is broken.

First what holds whatever happens to a cluster, then the ways by which a secret could get out, and
those by which an answer could do harm. What the tests measure, `make chaos` prints.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

HOLDS: Final = {
    "an acknowledged write is there in the end": (
        "chaos/chaos.all_that_clients_of_a_tormented_cluster_were_told_is_true "
        "leader_loss.losing_the_leader_fails_no_read_and_reports_no_write_wrongly"
    ),
    "nothing is told to have failed, or to be false, that was carried out": (
        "chaos/chaos.a_lost_write_and_a_wrong_answer_are_reported "
        "leader_loss.losing_the_leader_fails_no_read_and_reports_no_write_wrongly "
        "under_faults.a_write_that_must_not_happen_twice_is_sent_once_when_its_answer_is_lost"
    ),
    "what the clients of one key were told is true together": (
        "chaos/chaos.all_that_clients_of_a_tormented_cluster_were_told_is_true "
        "chaos/history.a_history_that_cannot_be_true_is_found"
    ),
    "no two hold a lock at once": (
        "recipes/contenders."
        "never_two_hold_it_and_somebody_does_again_in_time_after_every_fault "
        "recipes/faults."
        "the_block_ends_before_anybody_else_gets_it_when_the_only_agent_hangs"
    ),
    "tokens rise, and what a former holder writes is refused": (
        "recipes/lock.tokens_rise_from_holder_to_holder_whatever_happens_to_the_key "
        "recipes/lock.the_holder_writes_and_a_deposed_one_does_not"
    ),
    "a watch sees the last state soon, and asks no more often than it may": (
        "watch_election.every_watch_lives_through_an_election "
        "watch.waking_for_nothing_is_slowed_to_once_a_second "
        "contract/watch.values_never_go_back_under_many_writes"
    ),
    "attempts, deadlines and the budget of retries are kept": (
        "chaos/faults.a_fault_that_stays_ends_as_the_table_says "
        "chaos/hung.who_hangs_holds_a_call_no_longer_than_its_attempt "
        "transport/retry.a_spent_budget_ends_the_retries_of_all_calls"
    ),
    "a test leaves no task, no socket and no place taken": (
        "leftovers.a_test_that_leaves_a_socket_open_fails_and_no_other "
        "cancellation.after_a_storm_of_cancellations_everything_still_works "
        "chaos/cancelled.ten_thousand_cancelled_calls_take_nothing_with_them "
        "watch_storm.a_thousand_watches_started_and_cancelled_disturb_nobody"
    ),
    "an answer costs a bounded amount of memory": (
        "chaos/hostile.a_hostile_answer_costs_little_and_the_client_goes_on"
    ),
    "a token is in no log, warning, output, error, event, pickle or repr": (
        "chaos/session.a_session_of_every_call_keeps_its_token_to_itself "
        "canary.a_test_that_lets_the_token_out_fails_and_no_other "
        "canary.a_run_says_in_how_much_the_token_was_looked_for"
    ),
    "only errors of ours come out": (
        "chaos/fuzz.whatever_is_answered_a_call_ends_in_a_value_or_in_an_error_of_ours"
    ),
    "a cancellation ends a call at once, and giving back a lock in time": (
        "chaos/cancelled.a_call_that_is_cancelled_ends_at_once_wherever_it_waits "
        "recipes/session.a_cancellation_from_outside_does_not_wait_for_a_consul_that_hangs"
    ),
}

KEPT_IN: Final = {
    "a URL": (
        "client.a_parameter_that_a_view_or_a_header_says_is_refused "
        "address.what_is_no_address_is_refused_by_its_setting_and_not_repeated "
        "canary.a_call_that_is_answered_keeps_its_token_to_itself"
    ),
    "the logs of httpx, httpcore and h11": (
        "chaos/session.a_session_of_every_call_keeps_its_token_to_itself"
    ),
    "the log of HTTP/2, which is not spoken": (
        "regressions.http_2_is_not_spoken_even_with_a_server_that_would"
    ),
    "the headers of a client or of a request above the lowest layer": (
        "transport/authorize.the_token_is_on_the_request_below_and_not_on_the_one_above "
        "transport/authorize.the_layer_shows_none_of_its_secrets"
    ),
    "an error, and what it holds": (
        "canary.a_call_that_fails_keeps_its_token_to_itself "
        "transport/connections.an_error_does_not_hold_the_request_and_its_token"
    ),
    "the locals of our frames": (
        "transport/authorize.no_frame_above_the_bottom_has_the_token_in_a_local "
        "canary.a_call_that_fails_keeps_its_token_to_itself"
    ),
    "the refusal of a header": (
        "canary.a_token_that_cannot_be_sent_is_refused_and_kept_secret "
        "transport/connections.a_header_that_cannot_be_sent_is_not_quoted "
        "token.a_character_no_header_may_carry_is_named_by_its_place"
    ),
    "a redirect": (
        "chaos/second_origin.an_answer_that_points_elsewhere_is_not_followed "
        "canary.the_token_is_not_sent_to_where_a_redirect_points"
    ),
    "a proxy of the environment": "chaos/second_origin.a_proxy_of_the_environment_gets_nothing",
    "a cookie": "malformed_answers.a_cookie_is_not_sent_back",
    "a .netrc": "chaos/second_origin.a_netrc_is_not_read",
    "a file of the keys of TLS": (
        "chaos/second_origin.the_keys_of_a_tls_session_are_not_written_down "
        "tls.the_keys_of_a_session_are_not_written_down"
    ),
    "the settings": "canary.settings_keep_their_secrets_to_themselves",
    "the refusal of a setting, or of an answer": (
        "canary.a_token_in_the_place_of_another_setting_is_kept_secret "
        "acl_answers.a_damaged_token_is_an_error_that_does_not_quote_it "
        "models.a_damaged_pair_is_an_error_that_does_not_quote_it"
    ),
    "the secrets of an answer": (
        "models/every_model.no_repr_shows_a_secret "
        "models/every_model.what_is_called_a_secret_is_hidden"
    ),
    "a pickle or a copy": (
        "canary.what_holds_a_token_is_not_pickled client.a_client_is_neither_copied_nor_pickled"
    ),
    "events, and traces made of them": "transport/events.events_hold_no_key_value_or_path",
    "our own log": "transport/events.each_event_is_one_record_with_the_event_on_it",
    "plain HTTP to another machine, without a warning": (
        "settings.a_token_that_others_could_read_is_a_warning_at_the_line_that_gives_it"
    ),
    "TLS that does not verify, without a warning": (
        "settings.a_token_that_others_could_read_is_a_warning_at_the_line_that_gives_it "
        "settings.an_unreadable_verify_never_means_off"
    ),
    "a file of a token, and its line end": (
        "canary.a_trailing_newline_is_refused_but_in_a_file "
        "token.a_file_that_is_replaced_is_read_again "
        "token.what_is_no_file_is_refused_rather_than_waited_for"
    ),
    "two tokens of which one is meant": (
        "settings.a_token_and_a_file_together_are_refused "
        "settings.the_file_comes_before_the_token_within_the_environment"
    ),
}

SHUT_TO: Final = {
    "what grows when it is unpacked": (
        "chaos/hostile.a_hostile_answer_costs_little_and_the_client_goes_on"
    ),
    "JSON without a floor": "chaos/hostile.a_hostile_answer_costs_little_and_the_client_goes_on",
    "a body that never ends": (
        "transport/body.a_body_that_drips_for_ever_ends_with_the_attempt "
        "chaos/hostile.a_hostile_answer_costs_little_and_the_client_goes_on"
    ),
    "an index that is none": (
        "query_meta.an_index_is_ascii_digits_below_two_to_the_64 "
        "query_meta.digits_of_another_script_are_no_index "
        "malformed_answers.an_index_that_makes_no_sense_starts_over_instead_of_blocking"
    ),
    "an answer to nothing that was asked": (
        "transport/llhttp.what_follows_an_answer_is_nobodys "
        "chaos/faults.a_fault_that_stays_ends_as_the_table_says"
    ),
    "values that are more than bytes": (
        "models.a_value_in_another_form_is_an_error_that_does_not_quote_it"
    ),
    "a path of the caller's own": (
        "path.a_raw_path_a_server_would_rewrite_is_refused "
        "chaos/paths.a_hostile_name_stays_in_its_place_or_is_refused"
    ),
}

TESTS: Final = Path(__file__).parent.parent


def _tests(file: Path) -> set[str]:
    module = file.relative_to(TESTS).with_name(file.stem.removeprefix("test_")).as_posix()
    return {
        f"{module}.{node.name.removeprefix('test_')}"
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
    }


def test_what_is_said_to_show_a_promise_is_a_test() -> None:
    there = set[str]().union(*map(_tests, TESTS.rglob("test_*.py")))
    missing = {
        promise: absent
        for part in (HOLDS, KEPT_IN, SHUT_TO)
        for promise, shown in part.items()
        if (absent := set(shown.split()) - there)
    }

    assert missing == {}


def test_none_is_missing() -> None:
    assert (len(HOLDS), len(KEPT_IN) + len(SHUT_TO)) == (12, 29)
    assert all(shown.split() for part in (HOLDS, KEPT_IN, SHUT_TO) for shown in part.values())
