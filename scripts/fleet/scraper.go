// This runs a configuration by Grafana Agent's flow mode, with the components that profiles need: Alloy is that mode under another name, and these
// components are in it. check-fleet.sh puts this file into the Agent's source, whose own program has 150 components more.
//
// Usage: scraper CONFIGURATION FOLDER ADDRESS
//
// The Agent's dependencies give one path twice to the web server that Go has had since 1.22, which then ends the program.
//
//go:debug httpmuxgo121=1
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/grafana/agent/internal/featuregate"
	"github.com/grafana/agent/internal/flow"
	"github.com/grafana/agent/internal/flow/logging"
	"github.com/grafana/agent/internal/service"
	"github.com/grafana/agent/internal/service/cluster"
	"github.com/grafana/agent/internal/service/http"
	"github.com/prometheus/client_golang/prometheus"

	_ "github.com/grafana/agent/internal/component/discovery/kubernetes"
	_ "github.com/grafana/agent/internal/component/discovery/relabel"
	_ "github.com/grafana/agent/internal/component/pyroscope/scrape"
	_ "github.com/grafana/agent/internal/component/pyroscope/write"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file, folder, address string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	source, err := flow.ParseSource(file, text)
	if err != nil {
		return err
	}
	log, err := logging.New(os.Stderr, logging.DefaultOptions)
	if err != nil {
		return err
	}
	var controller *flow.Flow
	web := http.New(http.Options{
		Logger:           log,
		Gatherer:         prometheus.DefaultGatherer,
		ReadyFunc:        func() bool { return controller.Ready() },
		ReloadFunc:       func() (*flow.Source, error) { return source, nil },
		HTTPListenAddr:   address,
		MemoryListenAddr: "scraper.internal:12345",
	})
	alone, err := cluster.New(cluster.Options{Log: log, NodeName: "scraper", AdvertiseAddress: address})
	if err != nil {
		return err
	}
	controller = flow.New(flow.Options{
		Logger:   log,
		DataPath: folder,
		Reg:      prometheus.DefaultRegisterer,
		// That of pyroscope.scrape in the Agent. In Alloy it is "generally-available".
		MinStability: featuregate.StabilityBeta,
		Services:     []service.Service{web, alone},
	})
	if err := controller.LoadSource(source, nil); err != nil {
		return err
	}
	until, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	controller.Run(until)
	return nil
}
