// Package pprofreceiver has the settings of the Collector's pprof receiver, by the schema that its sources publish, and does nothing.
// Go's module proxy refuses the receiver itself. With this in its place, the Collector validates configurations that name it: settings
// of the collector's own types that they misspell are refused.
package pprofreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/xreceiver"
	"go.opentelemetry.io/collector/scraper/scraperhelper"
)

// Type is the name of this receiver in configurations.
var Type = component.MustNewType("pprof")

type config struct {
	Remote remote `mapstructure:"remote"`
}

// remote says whom to ask and how often.
type remote struct {
	scraperhelper.ControllerConfig `mapstructure:",squash"`
	confighttp.ClientConfig        `mapstructure:",squash"`
}

// idle is a receiver that receives nothing.
type idle struct {
	component.StartFunc
	component.ShutdownFunc
}

// NewFactory is what the Collector's builder asks a receiver's module for.
func NewFactory() receiver.Factory {
	settings := func() component.Config {
		return &config{remote{scraperhelper.NewDefaultControllerConfig(), confighttp.NewDefaultClientConfig()}}
	}
	create := func(context.Context, receiver.Settings, component.Config, xconsumer.Profiles) (xreceiver.Profiles, error) {
		return idle{}, nil
	}
	return xreceiver.NewFactory(Type, settings,
		xreceiver.WithProfiles(create, component.StabilityLevelDevelopment))
}
