-- busted's output for pgsh: one line a spec file, every failure whole, and a last line that machines read.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local counts = { success = 0, failure = 0, error = 0, pending = 0 }
  local file_counts, file_start

  local function now() return require("pgsh.host").mono() end

  function handler.fileStart()
    file_counts, file_start = { good = 0, bad = 0 }, now()
    return nil, true
  end

  function handler.fileEnd(file)
    io.write(("%s %-58s %4d passed%s  %.1f s\n"):format(file_counts.bad == 0 and "ok  " or "FAIL", file.name, file_counts.good,
      file_counts.bad > 0 and (", " .. file_counts.bad .. " failed") or "", (now() - file_start) / 1000))
    io.flush()
    return nil, true
  end

  function handler.testEnd(_, _, status)
    counts[status] = (counts[status] or 0) + 1
    if status == "success" then file_counts.good = file_counts.good + 1 else file_counts.bad = file_counts.bad + 1 end
    return nil, true
  end

  local function show(kind)
    return function(element, _, message, trace)
      local name = handler.getFullName(element)
      local text = type(message) == "table" and (message.message or tostring(message)) or tostring(message)
      io.write(("\n%s: %s\n%s\n%s\n"):format(kind, name, text, type(trace) == "table" and (trace.traceback or "") or ""))
      io.flush()
      if element.descriptor ~= "it" then counts.error = counts.error + 1 end
      return nil, true
    end
  end

  function handler.exitSuite()
    local bad = counts.failure + counts.error + counts.pending -- a spec that does not run is a failure here
    io.write(("%d passed, %d failed\n"):format(counts.success, bad))
    io.flush()
    return nil, true
  end

  busted.subscribe({ "file", "start" }, handler.fileStart)
  busted.subscribe({ "file", "end" }, handler.fileEnd)
  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ "suite", "end" }, handler.exitSuite)
  busted.subscribe({ "failure" }, show "failed")
  busted.subscribe({ "error" }, show "error")
  local _ = options
  return handler
end
