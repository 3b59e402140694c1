// Package receivercreator has the settings of the Collector's receiver_creator, by the sources that it publishes, and receives nothing. Go's
// module proxy refuses the real one, which makes of its settings what this only tries: for a port that is annotated as those of docs/fleet are,
// each rule must be true, and the settings of the receiver must be valid when what is between backticks has been put in. For a port without
// annotations each rule must be false.
package receivercreator

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"example.org/standins/pprofreceiver"
	"github.com/expr-lang/expr"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/xreceiver"
)

type config struct {
	WatchObservers     []component.ID               `mapstructure:"watch_observers"`
	ResourceAttributes map[string]map[string]string `mapstructure:"resource_attributes"`
	Receivers          map[string]template          `mapstructure:"receivers"`
}

type template struct {
	Rule               string            `mapstructure:"rule"`
	Config             map[string]any    `mapstructure:"config"`
	ResourceAttributes map[string]string `mapstructure:"resource_attributes"`
}

// port is what rules and settings may name of an endpoint of the type `port`.
type port struct {
	Type     string `expr:"type"`
	ID       string `expr:"id"`
	Name     string `expr:"name"`
	Port     uint16 `expr:"port"`
	Protocol string `expr:"protocol"`
	Endpoint string `expr:"endpoint"`
	Pod      pod    `expr:"pod"`
}

type pod struct {
	Name        string            `expr:"name"`
	Namespace   string            `expr:"namespace"`
	UID         string            `expr:"uid"`
	Labels      map[string]string `expr:"labels"`
	Annotations map[string]string `expr:"annotations"`
}

func portWith(annotations map[string]string) port {
	labels := map[string]string{"app.kubernetes.io/name": "your-program", "app.kubernetes.io/version": "v1"}
	owner := pod{Name: "your-program-1", Namespace: "shop", UID: "1", Labels: labels, Annotations: annotations}
	return port{Type: "port", ID: "1", Name: "pprof", Port: 6060, Protocol: "TCP", Endpoint: "10.0.0.1:6060", Pod: owner}
}

// evaluated refuses names that endpoints do not have, before it evaluates anything.
func evaluated(expression string, of port) (any, error) {
	program, err := expr.Compile(expression, expr.Env(of))
	if err != nil {
		return nil, err
	}
	return expr.Run(program, of)
}

var betweenBackticks = regexp.MustCompile("`[^`]*`")

// expanded returns `value` with what its expressions say of this port.
func expanded(value any, of port) (any, error) {
	switch value := value.(type) {
	case string:
		var problem error
		text := betweenBackticks.ReplaceAllStringFunc(value, func(quoted string) string {
			result, err := evaluated(quoted[1:len(quoted)-1], of)
			problem = errors.Join(problem, err)
			return fmt.Sprint(result)
		})
		return text, problem
	case map[string]any:
		result := map[string]any{}
		for name, inner := range value {
			part, err := expanded(inner, of)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			result[name] = part
		}
		return result, nil
	default:
		return value, nil
	}
}

// Validate is asked by the Collector.
func (c *config) Validate() error {
	if len(c.WatchObservers) == 0 || len(c.Receivers) == 0 {
		return errors.New("there is nobody to watch, or nothing to start")
	}
	for name, one := range c.Receivers {
		if err := one.tried(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (t template) tried(name string) error {
	var id component.ID
	if err := id.UnmarshalText([]byte(name)); err != nil || id.Type() != pprofreceiver.Type {
		return errors.Join(err, errors.New("it is no pprof receiver"))
	}
	annotated := portWith(map[string]string{
		"profiles.grafana.com/memory.scrape": "true",
		"profiles.grafana.com/cpu.scrape":    "true",
	})
	for of, wanted := range map[*port]bool{&annotated: true, new(portWith(nil)): false} {
		if chosen, err := evaluated(t.Rule, *of); err != nil || chosen != wanted {
			return fmt.Errorf("the rule says %v of a port with the annotations %v: %w", chosen, of.Pod.Annotations, err)
		}
	}
	for attribute, value := range t.ResourceAttributes {
		if text, err := expanded(value, annotated); err != nil || text == "" {
			return fmt.Errorf("%s becomes %q: %w", attribute, text, err)
		}
	}
	settings, err := expanded(t.Config, annotated)
	if err != nil {
		return err
	}
	started := pprofreceiver.NewFactory().CreateDefaultConfig()
	if err := confmap.NewFromStringMap(settings.(map[string]any)).Unmarshal(started); err != nil {
		return err
	}
	return confmap.Validate(started)
}

// idle is a receiver that receives nothing.
type idle struct {
	component.StartFunc
	component.ShutdownFunc
}

// NewFactory is what the Collector's builder asks a receiver's module for.
func NewFactory() receiver.Factory {
	create := func(context.Context, receiver.Settings, component.Config, xconsumer.Profiles) (xreceiver.Profiles, error) {
		return idle{}, nil
	}
	return xreceiver.NewFactory(component.MustNewType("receiver_creator"), func() component.Config { return &config{} },
		xreceiver.WithProfiles(create, component.StabilityLevelDevelopment))
}
