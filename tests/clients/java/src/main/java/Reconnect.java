import io.socket.client.IO;
import io.socket.client.Socket;
import java.util.HashMap;
import java.util.Map;
import org.json.JSONObject;

/** Joins a session and prints what it hears: {@code Reconnect ADDRESS CODE}. */
public class Reconnect {
  public static void main(String[] arguments) throws Exception {
    Socket socket = IO.socket(arguments[0]);
    Map<String, String> me = new HashMap<>(Map.of("sessionID", arguments[1], "name", "Ada"));
    socket.on(Socket.EVENT_CONNECT, connected ->
        socket.emit("join-session", new Object[] {new JSONObject(me)}, ack ->
            me.put("token", ((JSONObject) ack[0]).optString("token", me.get("token")))));
    socket.on("joined-session", joined -> System.out.println("joined"));
    socket.on("session-update", update -> System.out.println("title " + ((JSONObject) update[1]).opt("title")));
    socket.connect();
    Thread.currentThread().join();
  }
}
