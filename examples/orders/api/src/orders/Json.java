package orders;

import java.util.LinkedHashMap;
import java.util.Map;

/** Flat JSON objects: all that this API speaks. */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** Writes keys and values in the given order; strings are quoted, numbers and null are not. */
    static String object(Object... keysAndValues) {
        StringBuilder out = new StringBuilder("{");
        for (int i = 0; i < keysAndValues.length; i += 2) {
            if (i > 0) {
                out.append(',');
            }
            quote(out, keysAndValues[i].toString());
            out.append(':');
            Object value = keysAndValues[i + 1];
            if (value == null || value instanceof Number || value instanceof Boolean) {
                out.append(value);
            } else {
                quote(out, value.toString());
            }
        }
        return out.append('}').toString();
    }

    /** The fields of both objects in one; neither may be empty. */
    static String joined(String first, String second) {
        return first.substring(0, first.length() - 1) + "," + second.substring(1);
    }

    private static void quote(StringBuilder out, String value) {
        out.append('"');
        for (char c : value.toCharArray()) {
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (c < 0x20) {
                        out.append(String.format("\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }

    /** Reads one object whose values are all strings; anything else is a bad request. */
    static Map<String, String> strings(String text) {
        Json json = new Json(text);
        Map<String, String> values = new LinkedHashMap<>();
        json.expect('{');
        if (!json.accept('}')) {
            do {
                String key = json.string();
                json.expect(':');
                values.put(key, json.string());
            } while (json.accept(','));
            json.expect('}');
        }
        json.space();
        if (json.at != text.length()) {
            throw json.bad("nothing after the object");
        }
        return values;
    }

    private String string() {
        expect('"');
        StringBuilder out = new StringBuilder();
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == '"') {
                return out.toString();
            }
            if (c != '\\') {
                out.append(c);
                continue;
            }
            if (at == text.length()) {
                break;
            }
            char escape = text.charAt(at++);
            switch (escape) {
                case 'n' -> out.append('\n');
                case 'r' -> out.append('\r');
                case 't' -> out.append('\t');
                case 'b' -> out.append('\b');
                case 'f' -> out.append('\f');
                case 'u' -> {
                    if (at + 4 > text.length()) {
                        throw bad("four hex digits");
                    }
                    out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                    at += 4;
                }
                default -> out.append(escape);
            }
        }
        throw bad("a closing quote");
    }

    private void space() {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
    }

    private boolean accept(char c) {
        space();
        boolean found = at < text.length() && text.charAt(at) == c;
        if (found) {
            at++;
        }
        return found;
    }

    private void expect(char c) {
        if (!accept(c)) {
            throw bad("`" + c + "`");
        }
    }

    private IllegalArgumentException bad(String expected) {
        return new IllegalArgumentException(
                "not a flat JSON object of strings: expected " + expected + " at character " + at);
    }
}
