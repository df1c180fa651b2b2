// Publishes changes of items as another program would: with kafkajs, its own partitioner, hand-made
// headers, and once the binary mode of the CloudEvents SDK.
//   node produce.js BOOTSTRAP TOPIC
'use strict';
const { CloudEvent, Kafka: CloudEventsKafka } = require('cloudevents');
const { Kafka, logLevel, Partitioners } = require('kafkajs');

const [bootstrap, topic] = process.argv.slice(2);

function record(eventId, operation, id, after) {
    const words = { c: 'created', u: 'updated', d: 'deleted' };
    return {
        key: `{"id":${id}}`,
        value: JSON.stringify({ op: operation, before: null, after }),
        headers: {
            ce_specversion: '1.0',
            ce_id: eventId,
            ce_source: 'kafkajs',
            ce_type: `item.${words[operation]}`,
            ce_time: '2026-11-23T09:42:00Z',
            ce_protocol: '1',
            'content-type': 'application/json',
            'x-unknown': 'a reader ignores it',
        },
    };
}

function recordOfTheSdk(id, after) {
    const message = CloudEventsKafka.binary(new CloudEvent({
        id: 'sdk-1',
        source: 'sdk',
        type: 'item.created',
        datacontenttype: 'application/json',
        data: { op: 'c', before: null, after },
    }));
    const headers = Object.entries(message.headers).filter(([, value]) => value !== undefined);
    return {
        key: `{"id":${id}}`,
        value: JSON.stringify(message.value),
        headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
    };
}

async function main() {
    const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    const created = record('event-1', 'c', 1, { id: 1, name: 'first', amount: 10 });
    const messages = [
        created,
        record('event-2', 'c', 2, { id: 2, name: 'näme "quoted" \u2713', amount: null }),
        record('event-3', 'u', 1, { id: 1, name: 'changed', amount: -7 }),
        record('event-4', 'c', 3, { id: 3, name: 'goes', amount: 0 }),
        record('event-5', 'd', 3, null),
        created, // published twice: it must not undo event-3
        recordOfTheSdk(4, { id: 4, name: 'by the SDK', amount: 4 }),
    ];
    for (let id = 100; id < 200; id++)
        messages.push(record(`many-${id}`, 'c', id, { id, name: 'many', amount: id }));
    await producer.send({ topic, acks: -1, messages });
    await producer.disconnect();
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
