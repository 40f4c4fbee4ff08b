-- Redis has lost changes that clients have seen: says so with a new epoch, once. Replies: ok, epoch, version.
if not field('instance') then
  return reply('session-not-found')
end
if field('epoch') == call.seen_epoch and version() < call.seen_version then
  put('epoch', call.epoch)
  commit(false)
end
return reply('ok', field('epoch'), version())
