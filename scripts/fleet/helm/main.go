// This renders a chart of Helm with values, as `helm template` does, by Helm's own library. It refuses values whose names the chart does not
// know: Helm itself ignores these, unless the chart has a schema.
//
// Usage: check-helm CHART VALUES. The manifest goes to standard output.
package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"sort"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: check-helm CHART VALUES")
		os.Exit(2)
	}
	manifest, err := rendered(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[2], err)
		os.Exit(1)
	}
	fmt.Print(manifest)
}

// rendered returns the manifest of all templates of the chart that make anything.
func rendered(chartFile, valuesFile string) (string, error) {
	loaded, err := loader.Load(chartFile)
	if err != nil {
		return "", err
	}
	file, err := os.Open(valuesFile)
	if err != nil {
		return "", err
	}
	defer file.Close()
	values, err := loader.LoadValues(file)
	if err != nil {
		return "", err
	}
	if unknown := unknownNames(values, loaded); len(unknown) != 0 {
		return "", fmt.Errorf("the chart %s %s does not know: %s",
			loaded.Name(), loaded.Metadata.Version, strings.Join(unknown, ", "))
	}
	// This leaves out the parts of the chart that the values switch off.
	if err := chartutil.ProcessDependencies(loaded, values); err != nil {
		return "", err
	}
	release := common.ReleaseOptions{Name: loaded.Name(), Namespace: "default", Revision: 1, IsInstall: true}
	// If the chart has a schema, this refuses values that do not conform to it.
	all, err := util.ToRenderValues(loaded, values, release, common.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		return "", err
	}
	return joined(files)
}

// joined returns the files that are manifests as one, in the order of their names.
func joined(files map[string]string) (string, error) {
	var names []string
	for name, text := range files {
		if path.Base(name) != "NOTES.txt" && strings.TrimSpace(text) != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", errors.New("the chart makes nothing of these values")
	}
	sort.Strings(names)
	var manifest strings.Builder
	for _, name := range names {
		fmt.Fprintf(&manifest, "---\n# Source: %s\n%s\n", name, strings.TrimSpace(files[name]))
	}
	return manifest.String(), nil
}

// unknownNames returns the values that the chart's own values do not have. Where these have an empty map, any name is allowed.
func unknownNames(values map[string]any, loaded *chart.Chart) []string {
	// A schema says it better, because the names of the Collector's configuration are for the Collector to know.
	if loaded.Schema != nil {
		return nil
	}
	unknown := unknownBelow("", values, loaded.Values)
	slices.Sort(unknown)
	return unknown
}

func unknownBelow(prefix string, values, known map[string]any) []string {
	var unknown []string
	for name, value := range values {
		own, isKnown := known[name]
		inner, isMap := value.(map[string]any)
		ownInner, ownIsMap := own.(map[string]any)
		switch {
		case !isKnown:
			unknown = append(unknown, prefix+name)
		case isMap != ownIsMap && own != nil:
			unknown = append(unknown, prefix+name+" as it is")
		case isMap && len(ownInner) != 0:
			unknown = append(unknown, unknownBelow(prefix+name+".", inner, ownInner)...)
		}
	}
	return unknown
}
