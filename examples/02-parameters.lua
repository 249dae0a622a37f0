-- Parameters become flags, with types, help and checks: pgsh 02-parameters.lua --help, and --copies none.
procedure {
  name = "parameters",
  summary = "Greet somebody, several times",
}

local name = param.string { "name", "whom to greet", default = "world", pattern = "%a+", looks_like = "letters" }
local copies = param.integer { "copies", "how often", default = 2, min = 1, max = 10 }
local language = param.choice { "language", "in which language", choices = { "en", "es" }, default = "en" }
local pause = param.duration { "pause", "between two greetings", default = "50ms" }
local loud = param.boolean { "loud", "in capitals", default = false }

step "Greet" (function()
  local greeting = (language == "es" and "hola, " or "hello, ") .. name
  for _ = 1, copies do
    print(loud and greeting:upper() or greeting)
    wait(pause)
  end
end)
