// SPDX-License-Identifier: Apache-2.0

// Bans an address for a minute and takes the ban back. README.md says how to run it.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	flowdam "example.net/flowdam-client/flowdam/v1"
)

const timeout = 5 * time.Second

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: flowdam-client HOST:PORT ADDRESS")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		// "FD_BAN_EXEMPT: …": the code is stable, the sentence is for people.
		log.Fatalf("%s: %s", status.Code(err), status.Convert(err).Message())
	}
}

func run(server, address string) error {
	// TLS where FLOWDAM_CA names the authority of the aggregator's certificate.
	channel := insecure.NewCredentials()
	if authority := os.Getenv("FLOWDAM_CA"); authority != "" {
		var err error
		if channel, err = credentials.NewClientTLSFromFile(authority, ""); err != nil {
			return err
		}
	}
	connection, err := grpc.NewClient(server, grpc.WithTransportCredentials(channel))
	if err != nil {
		return err
	}
	// Goes with every call.
	background := context.Background()
	if token := os.Getenv("FLOWDAM_TOKEN"); token != "" {
		background = metadata.AppendToOutgoingContext(background, "authorization", "Bearer "+token)
	}
	defer connection.Close()
	bans := flowdam.NewBanServiceClient(connection)

	// The stream has no deadline; it begins with the bans in force.
	watching, stopWatching := context.WithCancel(background)
	defer stopWatching()
	watch, err := bans.WatchBans(watching, &flowdam.WatchBansRequest{})
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(background, timeout)
	defer cancel()
	now, err := flowdam.NewStatusServiceClient(connection).GetStatus(ctx, &flowdam.GetStatusRequest{})
	if err != nil {
		return err
	}
	fmt.Printf("aggregator %s: %.0f pps in, %d bans active\n", now.Version, now.Incoming.GetPps(), now.BansActive)

	added, err := bans.AddBan(ctx, &flowdam.AddBanRequest{
		Prefix: address, DurationS: 60, Reason: "example", Who: "main.go",
	})
	if err != nil {
		return err
	}
	for {
		change, err := watch.Recv()
		if err != nil {
			return err
		}
		ban := change.Ban
		fmt.Printf("%s: %s because of %s, by %s\n", change.Event, ban.Prefix, ban.Metric, ban.Who)
		if ban.Id == added.Ban.Id {
			break
		}
	}

	if _, err := bans.RemoveBan(ctx, &flowdam.RemoveBanRequest{Target: added.Ban.Id, Who: "main.go"}); err != nil {
		return err
	}
	fmt.Printf("unbanned %s\n", added.Ban.Prefix)
	return nil
}
