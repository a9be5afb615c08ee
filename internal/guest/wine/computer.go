package wine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// cloneLeanRegistry gives a lean clone its system.reg: the lean one, if the image has one. The computer's name and processors, which
// wineboot writes at each boot, are the node's. Of a value that stands twice, the later one counts.
func cloneLeanRegistry(tree, to string) error {
	m, err := thisMachine()
	if err != nil {
		return err
	}
	from := filepath.Join(tree, leanRegistryName)
	if !exists(from) {
		from = filepath.Join(tree, prefixName, systemRegistry)
	}
	if err := copyFile(from, to); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(registryText(append(computerNames(hostName()), processorValues(m)...)))
	return errors.Join(err, f.Close())
}

// computerNames is what the registry says of a host's name.
func computerNames(host string) []value {
	name, domain, _ := strings.Cut(host, ".")
	return []value{
		{`System\\CurrentControlSet\\Control\\ComputerName\\ActiveComputerName`, "ComputerName", windowsName(host)},
		{`System\\CurrentControlSet\\Control\\ComputerName\\ComputerName`, "ComputerName", windowsName(host)},
		{`System\\CurrentControlSet\\Services\\Tcpip\\Parameters`, "Hostname", name},
		{`System\\CurrentControlSet\\Services\\Tcpip\\Parameters`, "Domain", domain},
	}
}

// machineName is this machine's name as Windows has it.
func machineName() string { return windowsName(hostName()) }

func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "muster"
	}
	return name
}

// windowsName is a host's name as Windows has it.
func windowsName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return strings.ToUpper(name[:min(len(name), 15)])
}
