"""SQL and backslash commands of gsql as psql 15 must read them. Pure: text in, text out, line for line.

Words that only PostgreSQL knows are spoiled with an invisible letter, so that the server itself complains about them,
at their place, in its own words; whoever shows the complaint takes the letter out again (`shown`).
"""

import re

from . import conf

SPOIL = "\u2060"

TOKEN = re.compile(r"""
    (?P<comment>--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)
  | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')
  | (?P<dollar>\$(?P<tag>[A-Za-z_\x80-\uffff]*)\$.*?\$(?P=tag)\$)
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<meta>\\[^\n]*)
  | (?P<word>[A-Za-z_\x80-\uffff][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<space>\s+)
  | (?P<other>.)
""", re.VERBOSE | re.DOTALL)

# Names that PostgreSQL uses for something else.
OURS = {"pg_stat_get_wal_senders", "pg_stat_get_wal_receiver", "pg_stat_replication", "pg_stat_activity", "pg_settings"}
# Names that came after 9.2 and never to openGauss.
LATER = re.compile(r"""^(?:
    pg_lsn | pg_promote | pg_wal\w* | pg_\w+_wal(?:_\w+)? | pg_walfile\w* | pg_blocking_pids | pg_control_\w+
  | pg_stat_progress_\w+ | pg_stat_(?:ssl|gssapi|slru|archiver) | pg_hba_file_rules | pg_file_settings | pg_ls_\w+dir
  | pg_current_logfile | pg_sequences | jsonb_(?:build_object|build_array|agg|object_agg|set|pretty|path_\w+) | to_jsonb
  | json_strip_nulls | gen_random_uuid | to_reg\w+ | regexp_match | string_to_table | array_positions? | num_n\w*nulls
  | gs_shim_\w+
)$""", re.VERBOSE)
# Backslash commands that came after 9.2.
COMMANDS = {"gset", "gexec", "gx", "gdesc", "if", "elif", "else", "endif", "crosstabview", "bind", "errverbose", "warn",
            "watch", "parse"}
# What 9.2 did not let `IF NOT EXISTS` follow.
BEFORE_IF = {"column", "add", "index", "concurrently"}
SETTING_HIDDEN = {"lock_timeout", "idle_session_timeout", "wal_keep_size"}


class Token:
    def __init__(self, kind, text):
        self.kind, self.text = kind, text

    @property
    def low(self):
        return self.text.lower() if self.kind == "word" else self.text

    def spoil(self):
        self.text += SPOIL


def shown(text):
    """What people see: without the invisible letter."""
    return text.replace(SPOIL, "")


def tokens(text):
    """Tokens up to the end of the text; the lines after `COPY … FROM STDIN;` are one token of their own."""
    found, place, statement = [], 0, []
    while place < len(text):
        match = TOKEN.match(text, place)
        token = Token(match.lastgroup if match.lastgroup != "tag" else "dollar", match.group())
        found.append(token)
        place = match.end()
        statement.append(token.low)
        if token.text == ";":
            words = [word for word in statement if not word.isspace()]
            statement = []
            if words[:1] == ["copy"] and ("stdin" in words or "pstdin" in words):
                end = re.compile(r"^\\\.\s*?(\n|\Z)", re.MULTILINE).search(text, place)
                stop = end.end() if end else len(text)
                found.append(Token("data", text[place:stop]))
                place = stop
    return found


def statements(found):
    """Lists of tokens, each up to and with its `;`, a backslash command or data."""
    current = []
    for token in found:
        current.append(token)
        if token.text == ";" or token.kind in ("meta", "data"):
            yield current
            current = []
    if current:
        yield current


def meaning(statement):
    return [token for token in statement if token.kind not in ("space", "comment")]


def rewrite(text):
    """The text for psql; whether its last statement has no end."""
    out, open_end = [], False
    for statement in statements(tokens(text)):
        words = meaning(statement)
        open_end = bool(words) and words[-1].kind not in ("meta", "data") and words[-1].text != ";"
        if words and words[-1].kind == "meta":
            command(words[-1])
        settings = setting(words) if words else None
        if settings is None:
            names(words)
            syntax(words)
            out.append("".join(token.text for token in statement))
        else:
            first = statement.index(words[0])
            out.append("".join(token.text for token in statement[:first]) + settings)
    return "".join(out), open_end


def command(token):
    """A backslash command; those of later versions are unknown."""
    name = re.match(r"\\(\w+)", token.text)
    if name and name.group(1) in COMMANDS:
        token.text = f"\\{name.group(1)}{SPOIL}{token.text[name.end():]}"
    elif name and name.group(1) == "parallel":
        token.text = "\\set gs_shim_parallel 1"


def names(words):
    """Names that mean something else underneath, and names that 9.2 does not know."""
    for index, token in enumerate(words):
        if token.kind != "word":
            continue
        before = words[index - 1].text if index else ""
        of_catalog = before != "." or words[index - 2].low == "pg_catalog"
        if token.low in OURS and of_catalog:
            token.text = f"gs_shim_{token.low}"
        elif token.low in ("current_setting", "set_config") and of_catalog:
            two = token.low == "current_setting" and [word.text for word in words[index + 1:index + 4:2]] == ["(", ","]
            if two:
                token.spoil()
            else:
                token.text = "gs_shim_setting" if token.low == "current_setting" else "gs_shim_set"
                if of_catalog and before != ".":
                    token.text = f"pg_catalog.{token.text}"
        elif LATER.match(token.low):
            token.spoil()


def syntax(words):
    """Forms that came after 9.2."""
    low = [token.low for token in words]
    for index, token in enumerate(words):
        if token.kind != "word":
            continue
        rest = low[index + 1:index + 4]
        if token.low == "conflict" and low[index - 1] == "on" and "insert" in low:
            token.spoil()
        elif token.low == "if" and rest[:2] == ["not", "exists"] and low[index - 1] in BEFORE_IF:
            token.spoil()
        elif token.low == "generated" and rest[:1] in (["always"], ["by"]) and "identity" in low[index:index + 6]:
            token.spoil()
        elif token.low == "duplicate" and low[index - 1] == "on" and rest == ["key", "update", "nothing"]:
            # The form of openGauss; the one with columns is beyond this stand-in.
            token.text = "CONFLICT DO NOTHING"
            for other in words[index + 1:index + 4]:
                other.text = ""


def setting(words):
    """`SET`, `SHOW` and `RESET` of settings that have another name underneath; nothing for all other statements."""
    low = [token.low for token in words if token.text != ";"]
    end = ";" if words[-1].text == ";" else ""
    if low[:1] == ["show"] and len(low) == 2 and low[1] != "all":
        name = words[1].text
        if name.lower() in SETTING_HIDDEN:
            return f"SHOW {name}{SPOIL}{end}"
        return f"SELECT pg_catalog.gs_shim_setting('{name}') AS \"{name}\"{end}"
    if low[:1] == ["reset"] and len(low) == 2:
        return f"RESET {underlying(low[1])}{end}" if known(low[1]) else None
    if low[:1] != ["set"]:
        return None
    scope = low[1].upper() + " " if low[1:2] in (["local"], ["session"]) else ""
    rest = words[2:] if scope else words[1:]
    if len(rest) < 3 or rest[1].low not in ("=", "to") or not known(rest[0].low):
        return None
    name = rest[0].low
    value = " ".join(token.text for token in rest[2:] if token.text != ";")
    if name == "session_timeout" and value.isdigit():
        value = f"'{value}s'"
    change = f"SET {scope}{underlying(name)} = {value}"
    if name == "lockwait_timeout":
        # Only an administrator may: `\gset` asks and prints nothing.
        check = f"SELECT pg_catalog.gs_shim_admin('{name}') AS admin \\gset gs_shim_"
        return f"{check} \\\\ \\if :ERROR \\\\ \\else \\\\ {change}; \\endif \\\\ "
    return change + end


def known(name):
    """Whether a setting is one that must be translated or refused."""
    return name in conf.OWN or name in SETTING_HIDDEN


def underlying(name):
    if name in SETTING_HIDDEN:
        return name + SPOIL
    return conf.SAME[name][0] if name in conf.SAME else f"opengauss.{name}"
