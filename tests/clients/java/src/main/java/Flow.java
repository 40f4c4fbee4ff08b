import java.util.List;
import java.util.Scanner;
import joinsession.ApiClient;
import joinsession.api.SessionsApi;
import joinsession.model.AddMoviesBody;
import joinsession.model.AddMoviesRequest;
import joinsession.model.CreateSession;
import joinsession.model.DecideBody;
import joinsession.model.JoinRequest;
import joinsession.model.MovieDetails;
import joinsession.model.Rating;
import joinsession.model.Result;
import joinsession.model.SessionCreated;
import joinsession.model.SessionID;
import joinsession.model.SessionState;
import joinsession.model.VoteBody;

/** Lives through a session with the generated client; the token of a participant comes by standard input. */
public class Flow {
  public static void main(String[] arguments) throws Exception {
    SessionCreated made = api(arguments[0], null).createSession(null, new CreateSession().title("Friday"));
    String code = made.getSessionID();
    System.out.println(code);
    String token = new Scanner(System.in).nextLine();

    SessionsApi host = api(arguments[0], made.getHostToken());
    SessionsApi member = api(arguments[0], token);
    member.joinSession(new JoinRequest().sessionID(new SessionID(code)));
    MovieDetails movie = new MovieDetails().id("m1").title("Alien");
    member.addMovies(code, new AddMoviesRequest(new AddMoviesBody().movies(List.of(movie))), null);
    member.vote(code, "m1", new VoteBody().rating(Rating.NUMBER_5), "key-1");
    SessionState state = member.readSession(code, null);
    host.decide(code, new DecideBody(), null);
    Result result = member.readResult(code, null);
    host.endSession(code, null);
    System.out.println(state.getSessionData().getMovies().get(0).getCompatibility() + " " + result.getMovieID());
  }

  private static SessionsApi api(String address, String token) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(address);
    client.setRequestInterceptor(request -> {
      if (token != null) request.header("Authorization", "Bearer " + token);
    });
    return new SessionsApi(client);
  }
}
