package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/rpc"
)

// versionResult is what version prints.
type versionResult struct {
	Version  string `json:"version"`
	Protocol int    `json:"protocol"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Revision string `json:"revision,omitempty"` // of the sources, where they were known at the build
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.stdout.document(about())
			}
			a.stdout.printf("%s\n", version())
			return nil
		},
	}
}

func about() versionResult {
	v := versionResult{Version: chum.Version, Protocol: rpc.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

func version() string {
	v := about()
	text := fmt.Sprintf("chum %s (protocol %d, %s, %s)", v.Version, v.Protocol, v.Go, v.Platform)
	if v.Revision != "" {
		text += " " + v.Revision[:min(len(v.Revision), 12)]
	}
	return text
}
