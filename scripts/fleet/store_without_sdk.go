// This stands in Parca's storage library in the place of a file that needs the SDK of a cloud. check-fleet.sh puts it there.
package s3

import (
	"errors"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// AWSSDKAuth would find credentials. In this build there are none.
type AWSSDKAuth struct{ Region string }

// Retrieve fails.
func (a *AWSSDKAuth) Retrieve() (credentials.Value, error) {
	return credentials.Value{}, errors.New("this Parca was built without the SDK of a cloud")
}

// IsExpired says that there is nothing to use.
func (a *AWSSDKAuth) IsExpired() bool { return true }
