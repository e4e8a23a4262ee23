"""Which test shows that a parameter does what it says.

Those that ``tests/interop/test_parameters.py`` changes under a running server are not named here.
``tests/mountd/test_params.py`` looks whether each parameter is in one of the two places, whether
the tests exist, and whether the parameter's name stands in their files, or the word behind it here.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Proof(NamedTuple):
    test: str
    word: str = ""  # as the test's file has it, where that is not the parameter's name


GLOBALS: Final[dict[str, Proof]] = {
    "audit_log": Proof("tests/interop/test_watching.py::test_the_audit_log_tells_who_did_what"),
    "audit_log_count": Proof(
        "tests/server/test_audit_log.py::test_a_full_file_makes_room_for_another", "kept=2"
    ),
    "audit_log_failure": Proof(
        "tests/server/test_auditing.py::test_of_the_server_only_what_is_wanted_is_told",
        "Operation.LOGOFF, 0",
    ),
    "audit_log_size": Proof(
        "tests/server/test_audit_log.py::test_a_full_file_makes_room_for_another", "size=500"
    ),
    "audit_log_success": Proof(
        "tests/server/test_auditing.py::test_of_the_server_only_what_is_wanted_is_told",
        "Operation.LOGOFF, 0",
    ),
    "bind_interfaces_only": Proof(
        "tests/server/test_listening.py::test_interfaces_come_and_go_under_a_server"
    ),
    "deadtime": Proof(
        "tests/server/test_clients.py::test_deadtime_ends_idle_connections_but_not_those_with_open_files"
    ),
    "default_unix_user": Proof(
        "tests/mountd/test_state.py::test_an_account_acts_as_its_system_user_or_the_stand_in"
    ),
    "failed_logon_window": Proof(
        "tests/mountd/test_login.py::test_how_many_are_free_and_for_how_long_they_count_is_configured"
    ),
    "guest_account": Proof(
        "tests/interop/test_shares.py::test_unknown_users_are_guests_where_guests_may_be"
    ),
    "interfaces": Proof("tests/server/test_server.py::test_interfaces_may_come_later"),
    "ipc_timeout": Proof(
        "tests/ipc/test_client.py::test_a_mountd_without_sign_of_life_is_given_up"
    ),
    "kerberos_keytab_file": Proof(
        "tests/mountd/test_krb5.py::test_the_keytab_and_the_service_are_the_administrator_s"
    ),
    "kerberos_service_name": Proof(
        "tests/mountd/test_krb5.py::test_the_keytab_and_the_service_are_the_administrator_s"
    ),
    "kerberos_support": Proof("tests/interop/test_kerberos.py::test_a_ticket_logs_on", "kerberos"),
    "map_to_guest": Proof("tests/mountd/test_login.py::test_who_is_a_guest_and_who_is_refused"),
    "max_failed_logons": Proof(
        "tests/interop/test_guessing.py::test_many_guesses_at_a_time_are_looked_at_one_by_one"
    ),
    "metrics_address": Proof(
        "tests/interop/test_watching.py::test_prometheus_is_told_of_what_clients_do"
    ),
    "metrics_file": Proof("tests/interop/test_watching.py::test_the_file_has_the_same_families"),
    "multicast_dns_register": Proof(
        "tests/discovery/test_neighbourhood.py::test_each_way_is_switched_off_by_its_parameter"
    ),
    "slow_request_log": Proof(
        "tests/server/test_observe.py::test_a_slow_request_is_one_line_of_the_log", "slow_ns"
    ),
    "smb3_unix_extensions": Proof(
        "tests/commands/test_posix.py::test_they_can_be_switched_off", "posix=False"
    ),
    "smbd_max_io_size": Proof("tests/mountd/test_conf.py::test_what_has_no_effect_is_told"),
    "tcp_port": Proof("tests/server/test_server.py::test_a_port_needs_a_new_start"),
    "ws_discovery": Proof(
        "tests/discovery/test_neighbourhood.py::test_each_way_is_switched_off_by_its_parameter"
    ),
}
SHARES: Final[dict[str, Proof]] = {
    "access_based_share_enum": Proof(
        "tests/interop/test_shares.py::test_a_share_is_listed_for_those_it_is_for"
    ),
    "acl_xattr_ignore_system_acls": Proof(
        "tests/vfs/test_acl_alone.py::test_what_is_stored_changes_no_mode_but_opens_it"
    ),
    "admin_users": Proof("tests/mountd/test_context.py::test_the_global_admin_users_administer"),
    "crossmnt": Proof("tests/vfs/test_root.py::test_mounts_are_not_crossed_if_the_share_says_so"),
    "force_group": Proof(
        "tests/interop/test_shares.py::test_forced_users_and_groups_own_everything"
    ),
    "force_user": Proof(
        "tests/interop/test_shares.py::test_forced_users_and_groups_own_everything"
    ),
    "full_audit_failure": Proof(
        "tests/server/test_auditing.py::test_only_what_the_share_wants_is_told", "failure=0"
    ),
    "full_audit_prefix": Proof(
        "tests/interop/test_watching.py::test_the_audit_log_tells_who_did_what"
    ),
    "full_audit_success": Proof(
        "tests/server/test_auditing.py::test_only_what_the_share_wants_is_told",
        "success=Operation.CLOSE",
    ),
    "guest_account": Proof(
        "tests/mountd/test_login.py::test_the_tree_acts_as_somebody_else_where_the_share_says_so"
    ),
    "guest_only": Proof(
        "tests/mountd/test_login.py::test_the_tree_acts_as_somebody_else_where_the_share_says_so"
    ),
    "hide_unreadable": Proof(
        "tests/interop/test_shares.py::test_each_user_sees_what_they_may_read"
    ),
    "inherit_owner": Proof(
        "tests/commands/test_set_security.py::test_what_a_file_inherits_holds_though_its_owner_is_inherited_too"
    ),
    "kernel_oplocks": Proof(
        "tests/commands/test_create_local.py::test_a_program_waits_until_the_client_has_written_back"
    ),
    "posix_locking": Proof("tests/commands/test_lock_local.py::test_posix_locking_may_be_off"),
    "strict_locking": Proof(
        "tests/commands/test_lock_local.py::test_strict_locking_heeds_programs"
    ),
    "time_machine": Proof(
        "tests/commands/test_create_aapl.py::test_the_volume_is_as_the_share", "SHARE_TIME_MACHINE"
    ),
    "time_machine_max_size": Proof(
        "tests/commands/test_query_filesystem.py::test_a_share_for_backups_is_as_large_as_it_may_be"
    ),
}
