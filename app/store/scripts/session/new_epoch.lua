-- Whether changes were lost is looked at before every step; this one does no more.
return reply('ok')
