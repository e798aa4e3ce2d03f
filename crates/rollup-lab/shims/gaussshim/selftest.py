"""Pure parts of the shims. Run on a node of a lab: python3 -m unittest gaussshim.selftest"""

import unittest

from . import conf, query, sqltext


def rewritten(text):
    return sqltext.rewrite(text)[0]


class Sql(unittest.TestCase):
    def test_what_9_2_knows_passes_untouched(self):
        for text in ("select 1;\n", "insert into t values ('on conflict');", "-- pg_lsn\nselect $$pg_promote()$$;",
                     "select \"pg_lsn\" from t;", "\\d orders\nselect E'it\\'s pg_lsn';", "/* pg_lsn */ select 1;"):
            self.assertEqual(rewritten(text), text)

    def test_later_names_and_forms_are_spoiled_and_shown_without_the_letter(self):
        for text in ("select pg_promote();", "select x::pg_lsn;", "insert into t values (1) on conflict do nothing;",
                     "alter table t add column if not exists x int;", "select 1 \\gset\n",
                     "select current_setting('x', true);"):
            self.assertIn(sqltext.SPOIL, rewritten(text))
            self.assertEqual(sqltext.shown(rewritten(text)), text)

    def test_names_with_another_meaning_are_translated(self):
        self.assertEqual(rewritten("select * from pg_catalog.pg_stat_get_wal_senders() s;"),
                         "select * from pg_catalog.gs_shim_pg_stat_get_wal_senders() s;")
        self.assertEqual(rewritten("select own.pg_settings from own;"), "select own.pg_settings from own;")

    def test_settings_have_their_names_underneath(self):
        self.assertEqual(rewritten("SHOW upgrade_mode;"),
                         "SELECT pg_catalog.gs_shim_setting('upgrade_mode') AS \"upgrade_mode\";")
        self.assertEqual(rewritten("set session_timeout = 30;"), "SET idle_session_timeout = '30s';")
        self.assertIn("SET LOCAL lock_timeout = 500;", rewritten("set local lockwait_timeout=500;"))
        self.assertEqual(rewritten("set search_path to x;"), "set search_path to x;")

    def test_copied_rows_are_no_sql(self):
        text = "copy t from stdin;\npg_lsn\ton conflict\n\\.\nselect 1;\n"
        self.assertEqual(rewritten(text), text)

    def test_lines_stay_where_they_are(self):
        text = "begin;\nset local lockwait_timeout\n = 5;\nselect pg_promote()"
        found, open_end = sqltext.rewrite(text)
        self.assertTrue(open_end)
        self.assertEqual(found.splitlines()[-1], f"select pg_promote{sqltext.SPOIL}()")


class Settings(unittest.TestCase):
    def test_the_last_line_counts_and_comments_do_not(self):
        found = conf.read("port = 1 # one\n#port = 2\nport = '3'\nlisten_addresses = '*'\n")
        self.assertEqual(found, {"port": "3", "listen_addresses": "*"})

    def test_a_changed_setting_stays_at_its_line(self):
        self.assertEqual(conf.changed("a = 1\nport = 1\nb = 2\n", "port", "9"), "a = 1\nport = 9\nb = 2\n")
        self.assertEqual(conf.changed("a = 1\n", "port", "9"), "a = 1\nport = 9\n")

    def test_connections_are_read_word_by_word(self):
        values = {**conf.OWN, "replconninfo1": "localhost=a localport=1 remotehost=b remoteport=15401"}
        self.assertEqual(conf.connections(values)[0]["remoteport"], "15401")


class Query(unittest.TestCase):
    def test_a_server_without_rows_says_so_without_a_tab(self):
        text = query.document(("Primary", 1, "Normal", "Normal"), {"Senders info:": [], "Receiver info:": []})
        self.assertIn("\tlocal_role                     : Primary\n", text)
        self.assertTrue(text.endswith(" Senders info:       \nNo information \n Receiver info:      \nNo information \n"))

    def test_the_state_file_looks_different(self):
        text = query.offline({"mode": "standby", "static_connections": 1}, "Access denied")
        self.assertIn("        local_role                    : Standby\n", text)
        self.assertIn("        sync_mode                     : Async\n\n", text)

    def test_a_build_shows_how_far_it_is(self):
        text = query.build_document({"mode": "standby"}, {"state": "Building", "total": 2048}, 512)
        self.assertIn("        data_synchronized             : 512.00kB\n", text)
        self.assertIn("        estimated_total_data          : 2.00MB\n", text)
        self.assertIn("process_schedule              : 25%\n", text)


if __name__ == "__main__":
    unittest.main()
