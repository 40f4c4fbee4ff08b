-- Every script checks for lost changes first; this one does only that.
return reply('ok')
