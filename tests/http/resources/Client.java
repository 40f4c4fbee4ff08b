import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** Creates a session with the body given and joins another one, with the JDK's client as it is by default. */
public class Client {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        String[][] requests = {
            {"create", arguments[1]},
            {"join", "{\"sessionID\":\"" + arguments[2] + "\"}"},
        };
        for (var request : requests) {
            var uri = URI.create(arguments[0] + "/api/session/" + request[0]);
            var answer = client.send(
                HttpRequest.newBuilder(uri).POST(BodyPublishers.ofString(request[1])).build(), BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body());
        }
    }
}
