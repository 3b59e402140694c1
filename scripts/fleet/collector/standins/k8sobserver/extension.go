// Package k8sobserver has the settings of the Collector's k8s_observer that are of use for pods, by the sources that it publishes, and observes
// nothing. Go's module proxy refuses the real one.
package k8sobserver

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

type config struct {
	AuthType         string   `mapstructure:"auth_type"`
	Node             string   `mapstructure:"node"`
	ObservePods      bool     `mapstructure:"observe_pods"`
	ObservePodPhases []string `mapstructure:"observe_pod_phases"`
	Namespaces       []string `mapstructure:"namespaces"`
}

// Validate is asked by the Collector.
func (c *config) Validate() error {
	if c.AuthType != "serviceAccount" || !c.ObservePods {
		return errors.New("within a cluster, a service account asks for pods")
	}
	return nil
}

// idle is an extension that does nothing.
type idle struct {
	component.StartFunc
	component.ShutdownFunc
}

// NewFactory is what the Collector's builder asks an extension's module for.
func NewFactory() extension.Factory {
	settings := func() component.Config { return &config{AuthType: "serviceAccount", ObservePods: true} }
	create := func(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
		return idle{}, nil
	}
	return extension.NewFactory(component.MustNewType("k8s_observer"), settings, create, component.StabilityLevelDevelopment)
}
