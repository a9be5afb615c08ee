package wine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cloneLeanRegistry gives a lean clone its system.reg: the lean one, if the image has one. The computer's name, which wineboot
// writes at each boot, is the node's. Of a key that stands twice, the later values count.
func cloneLeanRegistry(tree, to string) error {
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
	_, err = f.WriteString(computerNames(hostName()))
	return errors.Join(err, f.Close())
}

// computerNames is what the registry says of a host's name.
func computerNames(host string) string {
	name, domain, _ := strings.Cut(host, ".")
	var out strings.Builder
	for _, v := range []value{
		{`System\\CurrentControlSet\\Control\\ComputerName\\ActiveComputerName`, "ComputerName", windowsName(host)},
		{`System\\CurrentControlSet\\Control\\ComputerName\\ComputerName`, "ComputerName", windowsName(host)},
		{`System\\CurrentControlSet\\Services\\Tcpip\\Parameters`, "Hostname", name},
		{`System\\CurrentControlSet\\Services\\Tcpip\\Parameters`, "Domain", domain},
	} {
		fmt.Fprintf(&out, "\n[%s]\n%q=%q\n", v.key, v.name, v.data)
	}
	return out.String()
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
