-- For wrk: POST /api/session/join of the sessions whose codes are in the file CODES, one after the other.
local requests, last = {}, 0

init = function()
  for line in io.lines(os.getenv("CODES")) do
    local body = string.format('{"sessionID":"%s"}', line:match("^%S+"))
    requests[#requests + 1] = wrk.format("POST", "/api/session/join", {["Content-Type"] = "application/json"}, body)
  end
end

request = function()
  last = last % #requests + 1
  return requests[last]
end

done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local line = '{"done":%d,"failed":%d,"seconds":%.4f,"busy":0,"p50_ms":%.3f,"p99_ms":%.3f}\n'
  io.write(string.format(line, summary.requests, failed, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3))
end
