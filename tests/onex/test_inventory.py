"""
Nothing of the old system is forgotten: what its tests asserted (A), and what was wrong with it (W).

The inventory of the old system numbers both. Here is which of our tests shows each.
"""

from __future__ import annotations

import ast
from pathlib import Path

SHOWN = {
    # The handler: its life, its operations, its errors.
    "A1": "lifecycle.a_handler_keeps_what_it_was_given",
    "A2": "lifecycle.nothing_given_is_the_agent_of_this_machine",
    "A3": "models.a_token_is_hidden_and_none_is_none",
    "A4": "lifecycle.a_configuration_that_cannot_be_used_names_the_field",
    "A5": "lifecycle.a_refused_connection_is_told_at_once",
    "A6": "lifecycle.a_cluster_without_a_leader_is_refused",
    "A7": "lifecycle.a_configuration_that_cannot_be_used_names_the_field",
    "A8": "models.a_token_is_hidden_and_none_is_none",
    "A9": "lifecycle.a_handler_describes_itself_before_it_is_initialised",
    "A10": "operations.what_was_put_is_got_with_its_flags_and_index",
    "A11": "operations.a_key_that_is_not_there_is_no_error",
    "A12": "operations.all_keys_that_begin_so_are_got",
    "A13": "operations.what_was_put_is_got_with_its_flags_and_index",
    "A14": "operations.what_was_put_is_got_with_its_flags_and_index",
    "A15": "operations.a_wrong_payload_is_refused_and_names_the_field",
    "A16": "operations.a_service_has_all_that_it_was_given",
    "A17": "operations.the_id_is_the_name_where_none_is_given",
    "A18": "operations.a_wrong_payload_is_refused_and_names_the_field",
    "A19": "operations.a_service_is_deregistered_by_either_name_of_its_id",
    "A20": "operations.a_wrong_payload_is_refused_and_names_the_field",
    "A21": (
        "operations.a_wrong_envelope_is_refused operations."
        "a_handler_that_is_not_initialised_says_so_first"
    ),
    "A22": "operations.the_ids_of_an_envelope_come_back operations.an_id_that_is_none_is_made",
    "A23": "document.a_block_of_the_page_runs",
    "A24": "lifecycle.shutdown_may_come_again_and_so_may_initialize",
    "A25": (
        "resilience.what_goes_on_failing_is_tried_three_times_with_pauses "
        "resilience.time_outs_are_tried_again_and_end_as_one "
        "resilience.what_will_stay_wrong_is_asked_once"
    ),
    "A26": "resilience.what_fails_once_is_tried_again",
    "A27": "resilience.what_goes_on_failing_is_tried_three_times_with_pauses",
    "A28": (
        "errors.an_error_begins_with_its_code errors.the_code_of_a_broken_connection_says_what_to"
    ),
    "A29": (
        "lifecycle.a_configuration_that_cannot_be_used_names_the_field "
        "lifecycle.a_token_that_cannot_be_used_shows_nowhere"
    ),
    "A30": "secrets.however_an_operation_ends_nothing_is_told",
    "A31": "operations.never_more_than_ten_requests_are_on_the_wire",
    "A32": "lifecycle.shutdown_waits_no_longer_than_it_is_told_and_stops_no_loop",
    # Its configuration.
    "A33": (
        "models.the_defaults_are_those_of_old models.a_bound_is_within_and_the_next_number_is_not"
    ),
    "A34": (
        "models.a_configuration_is_strict "
        "models.a_configuration_is_read_from_attributes_and_from_json"
    ),
    "A35": "models.the_url_is_made_of_its_parts",
    "A36": (
        "models.a_configuration_is_strict "
        "models.a_configuration_is_read_from_attributes_and_from_json "
        "resilience.a_circuit_is_one_handler_s_and_one_datacenter_s"
    ),
    "A37": "models.a_configuration_is_frozen_and_compared_by_value",
    "A38": "models.a_configuration_is_read_from_attributes_and_from_json",
    # Many at once, retrying, circuits.
    "A39": "resilience.one_caller_s_failures_are_not_another_s",
    "A40": "resilience.a_hundred_at_once_while_half_the_answers_are_lost",
    "A41": "resilience.a_hundred_at_once_while_half_the_answers_are_lost",
    "A42": "resilience.what_fails_once_is_tried_again",
    "A43": (
        "resilience.one_caller_s_failures_are_not_another_s "
        "resilience.a_circuit_is_one_handler_s_and_one_datacenter_s"
    ),
    "A44": "resilience.a_hundred_at_once_while_half_the_answers_are_lost",
    "A45": "resilience.time_outs_of_many_at_once_are_each_their_own",
    "A46": "resilience.what_goes_on_failing_is_tried_three_times_with_pauses",
    "A47": "resilience.what_goes_on_failing_is_tried_three_times_with_pauses",
    "A48": "resilience.what_goes_on_failing_is_tried_three_times_with_pauses",
    "A49": "resilience.below_the_threshold_it_stays_closed_and_a_success_forgets",
    "A50": "resilience.what_will_stay_wrong_is_asked_once",
    "A51": "resilience.time_outs_are_tried_again_and_end_as_one",
    "A52": "resilience.the_last_attempt_may_be_the_one_that_works",
    "A53": "resilience.the_circuit_opens_when_so_many_operations_have_failed",
    "A54": (
        "resilience.a_half_open_circuit_lets_a_single_request_through "
        "resilience.a_circuit_is_one_handler_s_and_one_datacenter_s"
    ),
    "A55": "mixins.it_starts_closed_and_opens_at_exactly_the_threshold",
    "A56": "mixins.open_says_what_is_not_available_and_for_how_long",
    "A57": (
        "mixins.a_success_closes_it_and_a_failure_opens_it_for_as_long_again "
        "mixins.it_never_says_to_come_back_after_no_time"
    ),
    "A58": "mixins.a_success_closes_it_and_a_failure_opens_it_for_as_long_again",
    "A59": "mixins.a_success_forgets_the_failures_before_it",
    "A60": "mixins.failures_while_it_is_open_do_not_keep_it_open_longer",
    "A61": "mixins.a_success_closes_it_and_a_failure_opens_it_for_as_long_again",
    "A62": "mixins.a_hundred_failures_at_once_are_all_counted mixins.half_open_admits_one_of_many",
    "A63": "mixins.its_state_tells_all mixins.without_recovery_it_is_open_until_somebody_asks",
    "A64": (
        "mixins.the_environment_says_its_numbers "
        "mixins.a_variable_that_is_no_number_is_named_and_not_quoted"
    ),
    # Errors.
    "A65": "errors.an_error_about_a_key_tells_its_beginning_only",
    "A66": "errors.an_error_begins_with_its_code",
    "A67": "errors.the_whole_chain_of_causes_is_kept",
    "A68": "errors.the_contexts_are_strict",
    "A69": "errors.the_code_of_a_broken_connection_says_what_to",
    "A70": "errors.a_rate_limit_says_when_to_come_back",
    "A71": "errors.no_context_has_room_for_a_secret",
    "A72": (
        "utils.how_much_of_a_key_is_told utils.what_speaks_of_secrets_is_not_told "
        "utils.a_long_text_is_cut utils.of_somebody_elses_error_a_few_phrases_are_told "
        "utils.a_url_is_told_without_user_query_and_fragment"
    ),
    # Topics.
    "A73": "topics.a_node_has_four_keys_of_names_and_of_entries",
    "A74": (
        "topics.the_answer_says_which_topics_came_and_went "
        "topics.many_nodes_subscribe_to_a_topic_in_order"
    ),
    "A75": "topics.the_answer_says_which_topics_came_and_went",
    "A76": (
        "topics.a_node_has_four_keys_of_names_and_of_entries "
        "topics.without_topics_no_key_is_written"
    ),
    "A77": "topics.a_node_has_four_keys_of_names_and_of_entries",
    "A78": "topics.writers_at_once_lose_nothing",
    "A79": "neighbours.a_late_writer_reads_again_and_keeps_what_the_other_wrote",
    "A80": "topics.the_answer_says_which_topics_came_and_went",
    # A real agent, discovery, and the handler's neighbours.
    "A81": (
        "operations.a_key_is_written_over operations.to_deregister_what_is_not_there_is_fine "
        "lifecycle.shutdown_may_come_again_and_so_may_initialize"
    ),
    "A82": (
        "discovery.services_are_listed_with_their_tags "
        "discovery.what_goes_wrong_is_the_platforms_error discovery.after_its_end_nothing_is_asked"
    ),
    "A83": (
        "discovery.an_instance_comes_back_as_it_was_registered "
        "discovery.health_is_a_choice_and_the_worst_check_decides"
    ),
    "A84": (
        "discovery.the_health_of_what_is_in_maintenance_and_of_what_is_not_there "
        "discovery.an_instance_without_checks_and_port_is_found_and_unknown"
    ),
    "A85": (
        "neighbours.discovery_has_all_that_the_protocols_have "
        "discovery.every_method_is_awaited_and_typed"
    ),
    "A86": "neighbours.any_discovery_finds_what_it_registered",
    "A87": (
        "neighbours.an_intent_becomes_a_registration "
        "neighbours.a_payload_of_a_wrong_type_is_refused"
    ),
    "A88": "neighbours.an_intent_becomes_a_registration",
    "A89": "neighbours.an_effect_knows_the_code_by_the_class",
    "A90": (
        "neighbours.a_version_counts_up_and_gives_up_where_others_are_faster "
        "neighbours.the_topics_of_all_nodes_are_read_at_once"
    ),
    "A91": "neighbours.routing_finds_nobody_where_it_cannot_tell",
    "A92": (
        "neighbours.contracts_are_stored_listed_and_deleted "
        "models.an_argument_comes_first_then_the_platforms_variable"
    ),
    "A93": "models.each_kind_of_answer_is_of_one_class",
    # What was wrong.
    "W1": "operations.all_keys_that_begin_so_are_got",
    "W2": "operations.two_instances_of_one_name_are_two",
    "W3": "operations.a_service_has_all_that_it_was_given",
    "W4": (
        "operations.a_key_that_would_reach_something_else_is_refused "
        "operations.an_id_stays_in_its_place models.a_topic_that_cannot_be_meant_is_refused"
    ),
    "W5": (
        "resilience.a_half_open_circuit_lets_a_single_request_through "
        "mixins.half_open_admits_one_of_many mixins.a_cancelled_call_gives_its_place_to_another"
    ),
    "W6": "mixins.a_late_success_of_an_older_call_closes_nothing",
    "W7": "lifecycle.a_refused_connection_is_told_at_once",
    "W8": "lifecycle.a_hanging_server_does_not_stop_the_loop_nor_outlast_the_timeout",
    "W9": "secrets.the_environment_changes_nothing_that_was_given",
    "W10": "resilience.calls_that_timed_out_leave_their_places_to_others",
    "W11": "lifecycle.shutdown_waits_no_longer_than_it_is_told_and_stops_no_loop",
    "W12": "operations.to_deregister_what_is_not_there_is_fine",
    "W13": "operations.a_check_and_set_whose_answer_was_lost_is_looked_up_and_sent_once",
    "W15": (
        "resilience.what_will_stay_wrong_is_asked_once "
        "resilience.six_callers_with_a_bad_token_lock_nobody_out"
    ),
    "W16": (
        "resilience.what_goes_on_failing_is_tried_three_times_with_pauses "
        "resilience.the_circuit_is_asked_again_before_each_attempt"
    ),
    "W17": "lifecycle.a_second_initialize_leaves_no_connection_behind",
    "W18": "operations.a_value_that_is_no_text_is_there_as_bytes",
    "W19": "operations.an_empty_value_is_empty_text",
    "W20": "operations.a_wrong_payload_is_refused_and_names_the_field",
    "W21": (
        "topics.wrong_topics_are_refused_before_the_first_write "
        "topics.a_registration_that_fails_leaves_the_topics_as_they_were"
    ),
    "W22": "topics.to_deregister_forgets_the_topics",
    "W23": "resilience.a_write_to_a_path_that_is_not_there_is_refused",
    "W24": "topics.writers_at_once_lose_nothing",
    "W25": "secrets.a_payload_that_is_refused_is_not_quoted",
    "W26": (
        "lifecycle.a_token_that_consul_does_not_know_is_refused "
        "lifecycle.a_datacenter_that_there_is_not_is_refused"
    ),
    "W27": "resilience.what_will_stay_wrong_is_asked_once",
    "W29": "discovery.an_instance_is_as_well_as_its_worst_check",
    "W30": (
        "discovery.all_tags_are_wanted_and_not_any "
        "discovery.health_is_a_choice_and_the_worst_check_decides"
    ),
    "W31": "discovery.what_goes_wrong_is_the_platforms_error",
    "W32": "neighbours.an_instance_tells_no_time_that_consul_does_not_know",
    "W33": "neighbours.discovery_has_all_that_the_protocols_have",
    "W34": "operations.a_check_that_is_not_named_again_is_gone",
    "W35": "mixins.it_never_says_to_come_back_after_no_time",
    "W36": (
        "operations.who_comes_when_the_queue_is_full_is_told_at_once "
        "resilience.it_does_not_wait_to_connect_longer_than_it_is_told "
        "operations.a_check_is_understood_in_all_its_spellings"
    ),
    "W37": (
        "utils.what_does_not_is_told_as_it_is "
        "utils.the_id_of_a_token_is_not_told_with_whatever_words_it_comes"
    ),
    "W38": "lifecycle.every_log_record_has_the_ids_and_the_place",
    "W40": "topics.who_is_always_slower_gives_up_and_tells_no_key",
}

# Not here, and why.
NOT_HERE = {
    "W14": "a plain put is repeated, as the platform's document says; `cas` and `retry=False` are "
    "for who minds",
    "W28": "the rest of Consul's API is the client's, and tested there",
    "W39": "asyncio and trio: every test here that awaits runs on both",
}

HERE = Path(__file__).parent
TESTS = {
    f"{file.stem.removeprefix('test_')}.{node.name.removeprefix('test_')}"
    for file in HERE.glob("test_*.py")
    for node in ast.parse(file.read_text()).body
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
}


def test_what_is_said_to_be_shown_is_a_test() -> None:
    missing = {number: set(shown.split()) - TESTS for number, shown in SHOWN.items()}

    assert {number: names for number, names in missing.items() if names} == {}
    assert all(SHOWN.values())


def test_none_is_missing() -> None:
    wanted = {f"A{n}" for n in range(1, 94)} | {f"W{n}" for n in range(1, 41)}

    assert set(SHOWN) | set(NOT_HERE) == wanted
    assert not set(SHOWN) & set(NOT_HERE)
