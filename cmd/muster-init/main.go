// muster-init is the first process of a guest in a virtual machine, or a service of it.
package main

func main() {}
