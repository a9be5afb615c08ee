//go:build !amd64

package machine

// HostTSC is 0 where there is no such counter.
func HostTSC() int64 { return 0 }
