std = "lua54"
max_line_length = 140
exclude_files = { "build" }
files["tests/spec"] = { std = "+busted" }
files["lua/meta"] = { ignore = { "211", "212", "241", "111", "112", "113", "121", "122", "131", "631" } }
