package wine

// SetClients makes every server of an instance take n programs only.
func SetClients(instance any, n int) { instance.(*instanceOf).crowd.Each = n }

type instanceOf = instance
