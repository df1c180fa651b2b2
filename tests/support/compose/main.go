// Reads compose files as Compose v2 does, and prints what each service became. The arguments are the
// project's folder and its files.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: compose FOLDER FILE...")
		os.Exit(64)
	}
	options, err := cli.NewProjectOptions(os.Args[2:],
		cli.WithWorkingDirectory(os.Args[1]), cli.WithName("keepstep"), cli.WithOsEnv)
	if err == nil {
		err = load(options)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func load(options *cli.ProjectOptions) error {
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	names := project.ServiceNames()
	sort.Strings(names)
	for _, name := range names {
		service := project.Services[name]
		fmt.Printf("%s image=%s read_only=%t cap_drop=%v user=%s memory=%d networks=%d waits_for=%d secrets=%d\n",
			name, service.Image, service.ReadOnly, service.CapDrop, service.User, service.MemLimit,
			len(service.Networks), len(service.DependsOn), len(service.Secrets))
	}
	return nil
}
