package vmimage

// Where muster-init is in a system that has another init, and the service that it is there.
const (
	initPath    = "usr/local/lib/muster/muster-init"
	serviceName = "muster-init.service"
	servicePath = "etc/systemd/system/" + serviceName
	wantedPath  = "etc/systemd/system/multi-user.target.wants/" + serviceName
)

// service starts muster-init as systems start a service: when what services need is there, without waiting for
// other services. It waits for its port by itself. Its programs have control groups that it makes itself.
const service = `[Unit]
Description=Programs that muster starts

[Service]
ExecStart=/` + initPath + `
Delegate=yes
KillMode=mixed
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`
