import com.zaxxer.hikari.HikariDataSource;
import io.seata.rm.RMClient;
import io.seata.rm.datasource.DataSourceProxy;
import io.seata.tm.TMClient;
import io.seata.tm.api.GlobalTransaction;
import io.seata.tm.api.GlobalTransactionContext;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import javax.sql.DataSource;

/**
 * What joint_latency.c measures, with Seata's AT mode: from the begin of a global transaction until its
 * commit has returned. One process has all databases.
 *
 *   Joint measure RATE COUNT ROWS URL...   each adds 1 to one row of each database; others warm Java up
 *                                          before, and the first tenth is not counted
 *   Joint hold URL...                      changes row 1 of each, says "held", and never commits
 */
public final class Joint {
    private static final int TIMEOUT_MS = 60000;
    private static final int HOLD_MS = 20000;
    private static final int THREADS = 32;
    private static final int POOL = 16; // connections to a database
    private static final int WARM_RATE = 100;
    private static final int WARM_COUNT = 1000;
    private static final int WARM_ROWS = 1000;
    private static final String GROUP = "bench";

    private final DataSource[] databases;
    private final AtomicInteger aborted = new AtomicInteger();

    private Joint(String[] urls) {
        TMClient.init(GROUP, GROUP);
        RMClient.init(GROUP, GROUP);
        databases = new DataSource[urls.length];
        for (int i = 0; i < urls.length; i++) {
            HikariDataSource pool = new HikariDataSource();
            pool.setJdbcUrl(urls[i]);
            pool.setMaximumPoolSize(POOL);
            databases[i] = new DataSourceProxy(pool);
        }
    }

    private void change(long row) throws Exception {
        for (DataSource database : databases) {
            try (Connection connection = database.getConnection();
                    PreparedStatement statement = connection.prepareStatement(
                            "UPDATE accounts SET amount = amount + 1 WHERE id = ?")) {
                statement.setLong(1, row);
                if (statement.executeUpdate() != 1) {
                    throw new IllegalStateException("no row " + row);
                }
            }
        }
    }

    private void transact(long row) throws Exception {
        GlobalTransaction transaction = GlobalTransactionContext.getCurrentOrCreate();
        transaction.begin(TIMEOUT_MS, GROUP);
        try {
            change(row);
            transaction.commit();
        } catch (Exception e) {
            if (aborted.incrementAndGet() == 1) {
                e.printStackTrace();
            }
            transaction.rollback();
        }
    }

    private String measure(long rate, int count, long rows) throws Exception {
        long[] taken = new long[count];
        CountDownLatch left = new CountDownLatch(count);
        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        long started = System.nanoTime();
        for (int i = 0; i < count; i++) {
            int number = i;
            LockSupport.parkNanos(started + i * 1_000_000_000L / rate - System.nanoTime());
            long begun = System.nanoTime();
            threads.execute(() -> {
                try {
                    transact(1 + number % rows);
                } catch (Throwable e) { // a missing class too
                    e.printStackTrace();
                    System.exit(70);
                }
                taken[number] = System.nanoTime() - begun;
                left.countDown();
            });
        }
        left.await();
        threads.shutdown();
        double seconds = (System.nanoTime() - started) / 1e9;
        long[] counted = Arrays.copyOfRange(taken, count / 10, count);
        Arrays.sort(counted);
        return String.format(Locale.ROOT, "{\"transactions\": %d, \"aborted\": %d, "
                + "\"transactions_per_second\": %.1f, \"p50_ms\": %.2f, \"p90_ms\": %.2f, "
                + "\"p99_ms\": %.2f, \"max_ms\": %.2f}%n", count, aborted.get(), count / seconds,
                quantile(counted, 0.5), quantile(counted, 0.9), quantile(counted, 0.99),
                quantile(counted, 1));
    }

    private static double quantile(long[] sorted, double share) {
        return sorted[Math.min((int) (share * sorted.length), sorted.length - 1)] / 1e6;
    }

    private void hold() throws Exception {
        GlobalTransactionContext.getCurrentOrCreate().begin(HOLD_MS, GROUP);
        change(1);
        System.out.println("held");
        Thread.sleep(Long.MAX_VALUE);
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("hold")) {
            new Joint(Arrays.copyOfRange(arguments, 1, arguments.length)).hold();
        } else {
            Joint joint = new Joint(Arrays.copyOfRange(arguments, 4, arguments.length));
            long rate = Long.parseLong(arguments[1]);
            int count = Integer.parseInt(arguments[2]);
            long rows = Long.parseLong(arguments[3]);
            joint.measure(WARM_RATE, WARM_COUNT, WARM_ROWS);
            joint.aborted.set(0);
            System.out.print(joint.measure(rate, count, rows));
        }
        System.exit(0); // Seata's threads go on
    }
}
